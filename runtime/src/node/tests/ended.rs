//! How the end of a proposal is told to the observer.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Config, GroupId, Instance, NodeId, Position, SmId};
use tokio::sync::watch;

use super::super::clock::Clock;
use super::super::error::ProposeError;
use super::super::front::Front;
use super::super::handle::{Committed, GroupHandle};
use super::super::note::{Note, REQUESTS_MAX, Shared};
use super::super::observing::Observing;
use super::super::status::GroupState;
use crate::observer::Observer;

struct Heard(mpsc::Sender<String>);

impl Observer for Heard {
    fn committed(&self, _group: GroupId, at: Position, _took: Duration) {
        drop(self.0.send(format!("committed {at}")));
    }
    fn refused(&self, _group: GroupId, why: &str) {
        drop(self.0.send(format!("refused: {why}")));
    }
    fn unknown(&self, _group: GroupId, after: Duration) {
        drop(self.0.send(format!("unknown after {after:?}")));
    }
}

const TIMEOUT: Duration = Duration::from_secs(5);

fn observed() -> (Front, mpsc::Receiver<String>) {
    let (tell, heard) = mpsc::channel();
    let observing = Observing::start("test".into(), Box::new(Heard(tell))).unwrap();
    let (pool, config) = (Arc::default(), Config::default());
    (Front::new(GroupId(0), config, TIMEOUT, pool, observing, None), heard)
}

#[test]
fn each_end_of_a_proposal_is_told_as_the_observer_promises() {
    let (front, heard) = observed();
    let position = Position { instance: Instance(4), index: 1 };
    let ends = [
        (Ok(Committed { position, output: Bytes::new() }), "committed #4.1"),
        (Err(ProposeError::Unknown), "unknown after 7ms"),
        (Err(ProposeError::OutputLost { by: Instance(9) }), "unknown after 7ms"),
        (Err(ProposeError::Failed { reason: "so".into() }), "refused: stopped: so"),
        (Err(ProposeError::ShuttingDown), "refused: the node is shutting down"),
        (Err(ProposeError::NotMember), "refused: this node's memory is not"),
    ];
    for (outcome, told) in ends {
        front.ended(&outcome, Duration::from_millis(7));
        let line = heard.recv_timeout(TIMEOUT).unwrap();
        assert!(line.starts_with(told), "{outcome:?}: {line}");
    }
}

#[tokio::test]
async fn what_finds_the_queue_full_is_refused_and_told() {
    let (front, heard) = observed();
    let shared = Shared::new(NodeId(1), Clock::start(), Observing::default());
    for _ in 0..REQUESTS_MAX {
        shared.inbox.push(Note::Stop);
    }
    let group = GroupHandle {
        shared: Arc::new(shared),
        slot: 0,
        group: GroupId(0),
        front: Arc::new(front),
        machines: [SmId(0)].into(),
        command_bytes_max: 100,
        state: watch::channel(GroupState::default()).1,
    };
    let mut outcomes = vec![group.propose("a").await];
    outcomes.extend(group.propose_batch(["b", "c"]).await);
    for outcome in outcomes {
        assert!(matches!(outcome, Err(ProposeError::Overloaded { .. })), "{outcome:?}");
        let line = heard.recv_timeout(TIMEOUT).unwrap();
        assert!(line.starts_with("refused: overloaded"), "{line}");
    }
}
