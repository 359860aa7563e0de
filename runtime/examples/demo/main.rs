//! Three nodes in three processes; the leader is killed again and again; nothing is lost.
//!
//! `cargo run --release --example demo -p synod`
//!
//! Every node proposes without a pause, and reports each command that was acknowledged to it. In
//! the end each node is asked what it executed, in which order, and the two are compared. The exit
//! code says whether anything was lost, executed twice, or executed in another order.
#![expect(clippy::print_stdout, reason = "what it is for")]

mod account;
mod child;
mod node;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use account::{Account, Verdict};
use child::{Child, Event};
use clap::{Parser, Subcommand};

/// Three nodes in three processes; the leader is killed again and again; nothing is lost.
#[derive(Debug, Parser)]
#[command(name = "demo")]
struct Arguments {
    /// How often to kill the leader.
    #[arg(long, default_value_t = 4)]
    kills: u32,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// One node; started by the demo itself.
    #[command(hide = true)]
    Node(node::Arguments),
}

const NODES: u64 = 3;

/// Nothing in here takes nearly as long on a machine that works.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.role {
        Some(Role::Node(arguments)) => node::run(&arguments).map(|()| ExitCode::SUCCESS),
        None => demo(arguments.kills),
    };
    done.unwrap_or_else(|error| {
        println!("\n  the demo could not go on: {error}");
        ExitCode::from(2)
    })
}

fn demo(kills: u32) -> Result<ExitCode, Box<dyn Error>> {
    let data = tempfile::tempdir()?;
    let addresses = child::addresses(usize::try_from(NODES)?)?;

    println!();
    println!("  Synod: three nodes, three processes, one log.");
    println!("  Each node proposes without a pause. Now and then the leader is killed.");
    println!();
    let mut demo = Demo {
        children: Vec::new(),
        account: Account::new(),
        begun: Instant::now(),
        lives: 0,
        addresses,
        data: data.path().to_owned(),
    };
    for id in 1..=NODES {
        let child = demo.spawn(id)?;
        demo.children.push(child);
    }
    demo.until("a leader", |account| account.leader().is_some())?;
    demo.say(&format!("the cluster has formed; node {} leads", demo.leader()?));
    demo.run_for(Duration::from_secs(2));

    for _ in 0..kills {
        let victim = demo.leader()?;
        demo.kill(&[victim], &format!("kill -9 of node {victim}, the leader"))?;
        demo.until("a new leader", |account| account.leader().is_some_and(|now| now != victim))?;
        demo.recovered(&format!("node {} leads", demo.leader()?))?;
        demo.run_for(Duration::from_millis(700));
        demo.revive(&[victim], &format!("node {victim} is back, and has caught up"))?;
        demo.run_for(Duration::from_millis(1000));
    }
    let all: Vec<u64> = (1..=NODES).collect();
    demo.kill(&all, "kill -9 of all three at once")?;
    demo.revive(&all, "all three are back")?;
    demo.recovered(&format!("node {} leads", demo.leader()?))?;
    demo.run_for(Duration::from_millis(1000));
    demo.verdict()
}

struct Demo {
    /// Node `i + 1` in place `i`.
    children: Vec<Child>,
    account: Account,
    begun: Instant,
    /// Processes started so far.
    lives: u64,
    addresses: Vec<String>,
    data: std::path::PathBuf,
}

impl Demo {
    fn spawn(&mut self, id: u64) -> Result<Child, Box<dyn Error>> {
        self.lives += 1;
        Child::spawn(
            &std::env::current_exe()?,
            id,
            self.lives,
            &self.addresses,
            &self.data.join(id.to_string()),
        )
    }

    fn say(&self, what: &str) {
        let (at, count) = (self.begun.elapsed().as_secs_f32(), self.account.acknowledged());
        println!("  {at:5.1} s   {what:<44} {:>10} acknowledged", account::thousands(count));
    }

    /// Takes in what the nodes report, for a while.
    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.listen();
        }
    }

    /// Takes in what the nodes report until something holds.
    fn until(
        &mut self,
        what: &str,
        holds: impl Fn(&Account) -> bool,
    ) -> Result<(), Box<dyn Error>> {
        let begun = Instant::now();
        while !holds(&self.account) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("waited {PATIENCE:?} in vain for {what}").into());
            }
            self.listen();
        }
        Ok(())
    }

    fn listen(&mut self) {
        for child in &self.children {
            for event in child.events.try_iter() {
                self.account.take(child.id, event);
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }

    fn leader(&self) -> Result<u64, Box<dyn Error>> {
        self.account.leader().ok_or_else(|| "nobody leads".into())
    }

    fn kill(&mut self, ids: &[u64], what: &str) -> Result<(), Box<dyn Error>> {
        self.listen();
        self.say(what);
        for child in self.children.iter_mut().filter(|child| ids.contains(&child.id)) {
            child.kill()?;
        }
        // What they had reported before counts; what they had not is nobody's knowledge.
        for child in self.children.iter().filter(|child| ids.contains(&child.id)) {
            for event in &child.events {
                self.account.take(child.id, event);
            }
            self.account.take(child.id, Event::Gone);
        }
        Ok(())
    }

    /// Waits until commands are acknowledged again.
    fn recovered(&mut self, what: &str) -> Result<(), Box<dyn Error>> {
        let before = self.account.acknowledged();
        self.until("an acknowledgement", |account| account.acknowledged() > before + 100)?;
        let pause = self.account.last_pause().as_millis();
        self.say(&format!("{what}, after a pause of {pause} ms"));
        Ok(())
    }

    fn revive(&mut self, ids: &[u64], what: &str) -> Result<(), Box<dyn Error>> {
        for &id in ids {
            let child = self.spawn(id)?;
            for place in &mut self.children {
                if place.id == id {
                    *place = child;
                    break;
                }
            }
        }
        self.until("a restarted node", |account| ids.iter().all(|&id| account.is_ready(id)))?;
        self.until("a leader", |account| account.leader().is_some())?;
        self.say(what);
        Ok(())
    }

    fn verdict(mut self) -> Result<ExitCode, Box<dyn Error>> {
        for child in &mut self.children {
            child.ask("stop")?;
        }
        self.until("the last answers", |account| (1..=NODES).all(|id| account.has_stopped(id)))?;
        let ran = self.begun.elapsed();
        for child in &mut self.children {
            child.ask("list")?;
        }
        self.until("the nodes' logs", |account| (1..=NODES).all(|id| account.has_listed(id)))?;
        let verdict = Verdict::of(&self.account);
        println!("\n{}\n", verdict.report(&self.account, ran));
        Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
