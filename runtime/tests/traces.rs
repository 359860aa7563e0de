//! What a node traces for whoever looks after it.
#![expect(clippy::unwrap_used, reason = "a test")]

#[expect(dead_code, reason = "what other tests use")]
mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::{Cluster, Memo, group, soon, until};
use synod::{GroupId, NodeState, ProposeError, StateMachine};
use tracing_subscriber::fmt::MakeWriter;

/// Everything that is traced in this process.
#[derive(Clone, Default)]
struct Traced(Arc<Mutex<Vec<u8>>>);

impl Traced {
    fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned();
        text.lines().filter(|line| line.contains(with)).map(ToOwned::to_owned).collect()
    }
}

impl Write for Traced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Traced {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_group_that_the_cluster_was_founded_without_is_warned_of_at_the_start() {
    let traced = Traced::default();
    // For every thread of the process: the only test in here.
    tracing_subscriber::fmt().with_ansi(false).with_writer(traced.clone()).init();
    let about = "the cluster was founded without a group";
    let mut cluster = Cluster::new(1);
    let node = cluster.start(1).await;
    soon(group(&node).propose("a")).await.unwrap();
    soon(node.shutdown()).await;
    assert_eq!(traced.lines(about), Vec::<String>::new());

    let late = || -> Vec<Box<dyn StateMachine>> { vec![Box::<Memo>::default()] };
    let node = cluster.builder(1).group(GroupId(7), late).start().await.unwrap();
    until(&node, "running", |status| matches!(status.state, NodeState::Running)).await;
    let error = soon(node.group(GroupId(7)).unwrap().propose("a")).await.unwrap_err();
    assert_eq!(error, ProposeError::NotMember);
    let lines = traced.lines(about);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    for part in ["WARN", "node=1", "group=7", "leave it out"] {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    soon(group(&node).propose("b")).await.unwrap();
}
