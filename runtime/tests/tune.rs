//! Changing settings while a group runs.

mod common;

use std::time::Duration;

use common::{Cluster, commands, group, soon, until};
use synod::{ConfigError, ProposeError, TuneError};

#[tokio::test]
async fn settings_change_at_once_and_only_if_they_can_work() {
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    let counter = group(&node);
    soon(counter.propose("a")).await.unwrap();
    let before = counter.settings();
    let tuned = counter.tune(|settings| {
        settings.protocol.batch_delay = Duration::from_millis(7);
        settings.protocol.election_timeout = Duration::from_secs(2);
        settings.timeout = Duration::from_secs(9);
    });
    let tuned = tuned.unwrap();
    assert_eq!(tuned, counter.settings());
    assert_eq!(tuned.protocol.batch_delay, Duration::from_millis(7));
    soon(counter.propose("b")).await.unwrap();

    let refused = |change: fn(&mut synod::Settings)| counter.tune(change).unwrap_err();
    let error = refused(|settings| settings.protocol.heartbeat_interval = Duration::from_secs(1));
    assert!(matches!(error, TuneError::Config(ConfigError::ElectionTimeout { .. })), "{error}");
    let error = refused(|settings| settings.overload.proposals_max = 0);
    assert_eq!(error, TuneError::Config(ConfigError::Zero("overload.proposals_max")));
    let error = refused(|settings| settings.protocol.page_bytes_max = 1 << 28);
    assert!(matches!(error, TuneError::Frame { .. }), "{error}");
    assert_eq!(counter.settings(), tuned, "nothing has changed");

    // From here on nothing is under way for longer than it takes to refuse all but one.
    counter.tune(|settings| settings.overload.proposals_max = 1).unwrap();
    // What was answered just now may still count for a moment: then all are refused.
    let outcomes = loop {
        let outcomes = soon(counter.propose_batch(["c", "d", "e"])).await;
        if outcomes.iter().any(Result::is_ok) {
            break outcomes;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    assert!(outcomes[0].is_ok(), "{outcomes:?}");
    for refused in &outcomes[1..] {
        let Err(ProposeError::Overloaded { retry_after }) = refused else {
            panic!("{refused:?}");
        };
        assert!(!retry_after.is_zero());
    }
    counter.tune(|settings| *settings = before.clone()).unwrap();
    assert!(soon(counter.propose_batch(["f", "g"])).await.iter().all(Result::is_ok));
    assert_eq!(commands(&cluster.executed[0]), ["a", "b", "c", "f", "g"]);
    soon(node.shutdown()).await;
    let error = counter.tune(|_| ()).unwrap_err();
    assert!(matches!(error, TuneError::Node(_)), "{error}");
}

#[tokio::test]
async fn settings_given_before_the_cluster_is_there_count_from_its_start() {
    let mut cluster = Cluster::new(3);
    let one = cluster.start(1).await;
    // A node that waits this long for a leader never asks to be one itself.
    let patient = |settings: &mut synod::Settings| {
        settings.protocol.election_timeout = Duration::from_secs(3600);
    };
    group(&one).tune(patient).unwrap();
    let two = cluster.start(2).await;
    let three = cluster.start(3).await;
    until(&one, "led", |status| status.groups[0].core.is_some_and(|core| core.leader.node.0 != 0))
        .await;
    assert_ne!(soon(group(&one).wait_leader()).await.unwrap(), one.id());
    drop((two, three));
}
