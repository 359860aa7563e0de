//! Three real processes on loopback, killed at random while all of them propose.
#![expect(clippy::unwrap_used, reason = "a cluster that cannot be set up has failed the test")]

#[expect(dead_code, reason = "the demo prints it, too")]
#[path = "../../runtime/examples/demo/account.rs"]
mod account;
#[path = "../../runtime/examples/demo/child.rs"]
mod child;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use account::{Account, Verdict};
use child::{Child, Event};

const KILLS: u64 = 10;

/// For each single thing that has to happen; nothing takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(30);

struct Cluster {
    children: Vec<Child>,
    account: Account,
    lives: u64,
    addresses: Vec<String>,
    data: PathBuf,
    story: Vec<String>,
}

impl Cluster {
    fn start(&mut self, id: u64) {
        self.lives += 1;
        let program = Path::new(env!("CARGO_BIN_EXE_chaos_node"));
        let data = self.data.join(id.to_string());
        let child = Child::spawn(program, id, self.lives, &self.addresses, &data).unwrap();
        self.children.retain(|child| child.id != id);
        self.children.push(child);
        self.story.push(format!("start {id}"));
    }

    fn kill(&mut self, id: u64) {
        let child = self.children.iter_mut().find(|child| child.id == id).unwrap();
        child.kill().unwrap();
        for event in &child.events {
            self.account.take(id, event);
        }
        self.account.take(id, Event::Gone);
        self.story.push(format!("kill {id} after {}", self.account.acknowledged()));
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Account) -> bool) {
        let begun = Instant::now();
        while !holds(&self.account) {
            assert!(begun.elapsed() < PATIENCE, "in vain for {what}: {:#?}", self.story);
            for child in &self.children {
                for event in child.events.try_iter() {
                    self.account.take(child.id, event);
                }
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn more(&mut self, count: usize) {
        let before = self.account.acknowledged();
        self.until("more commands", |account| account.acknowledged() >= before + count);
    }
}

#[test]
fn killed_processes_lose_nothing_that_was_acknowledged() {
    let data = tempfile::tempdir().unwrap();
    let mut cluster = Cluster {
        children: Vec::new(),
        account: Account::new(),
        lives: 0,
        addresses: child::addresses(3).unwrap(),
        data: data.path().to_owned(),
        story: Vec::new(),
    };
    for id in 1..=3 {
        cluster.start(id);
    }
    cluster.more(500);
    for _ in 0..KILLS {
        let random = child::random();
        let victim = random % 3 + 1;
        cluster.kill(victim);
        // The others go on without it; or it is back before they have noticed.
        if random & 1024 == 0 {
            cluster.more(200);
        }
        cluster.start(victim);
        cluster.until("the node to catch up", |account| account.is_ready(victim));
        cluster.more(usize::try_from(random % 400).unwrap());
    }
    for child in &mut cluster.children {
        child.ask("stop").unwrap();
    }
    cluster.until("the last answers", |account| (1..=3).all(|id| account.has_stopped(id)));
    for child in &mut cluster.children {
        child.ask("list").unwrap();
    }
    cluster.until("the logs", |account| (1..=3).all(|id| account.has_listed(id)));
    let verdict = Verdict::of(&cluster.account);
    assert!(verdict.is_good(), "{verdict:?} {:#?}", cluster.story);
}
