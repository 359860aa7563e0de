//! One node's process: proposes without a pause, and reports on its standard output.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use synod::{GroupHandle, GroupId, Node, NodeId, Position, StateMachine};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    id: u64,
    /// Which start of a process this is; makes command names unique.
    #[arg(long)]
    life: u64,
    #[arg(long)]
    data: PathBuf,
    /// Where the nodes listen, from node 1 on.
    addresses: Vec<String>,
}

/// Remembers every command, in order.
#[derive(Default)]
struct Journal(Vec<Bytes>);

impl StateMachine for Journal {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        self.0.push(command);
        Bytes::new()
    }

    fn read(&self, query: Bytes) -> Bytes {
        let mut list = BytesMut::new();
        if query == "list" {
            for command in &self.0 {
                list.put_slice(b"did ");
                list.put_slice(command);
                list.put_u8(b'\n');
            }
        }
        list.freeze()
    }
}

/// Commands under way at a time, of each node.
const PROPOSERS: usize = 8;

pub(crate) fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let report = reporter();
    let mut asked = asked();
    let mut builder = Node::builder()
        .id(arguments.id)
        .data_dir(&arguments.data)
        .group(GroupId(0), || vec![Box::<Journal>::default()]);
    for (id, address) in (1..).zip(&arguments.addresses) {
        builder = if id == arguments.id {
            builder.listen(address.clone())
        } else {
            builder.peer(id, address.clone())
        };
    }
    let node = builder.start().await?;
    let group = node.group(GroupId(0)).ok_or("no group")?;

    tokio::spawn(report_leader(group.clone(), node.id(), report.clone()));
    let stop = Arc::new(AtomicBool::new(false));
    let next = Arc::new(AtomicU64::new(0));
    let mut proposers = Vec::new();
    for _ in 0..PROPOSERS {
        let (group, report) = (group.clone(), report.clone());
        let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
        let prefix = format!("{}.{}", arguments.id, arguments.life);
        proposers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let command = format!("{prefix}.{}", next.fetch_add(1, Ordering::Relaxed));
                if group.propose(command.clone()).await.is_ok() {
                    drop(report.send(format!("ack {command}\n").into()));
                }
            }
        }));
    }
    while group.read("").await.is_err() {}
    report.send("ready\n".into())?;

    while let Some(what) = asked.recv().await {
        match what.as_str() {
            "stop" => {
                stop.store(true, Ordering::Relaxed);
                for proposer in proposers.drain(..) {
                    proposer.await?;
                }
                report.send("stopped\n".into())?;
            }
            "list" => {
                let list = loop {
                    if let Ok(list) = group.read("list").await {
                        break list;
                    }
                };
                report.send(list)?;
                report.send("listed\n".into())?;
            }
            _ => {}
        }
    }
    // Whoever started this process is gone.
    Ok(())
}

async fn report_leader(group: GroupHandle, me: NodeId, report: Sender<Bytes>) {
    let mut leader = group.leader();
    loop {
        let what = if leader == Some(me) { "leads\n" } else { "follows\n" };
        if report.send(what.into()).is_err() {
            return;
        }
        match group.leader_changed(leader).await {
            Ok(now) => leader = now,
            Err(_) => return,
        }
    }
}

/// Lines of the standard input; ends with it.
fn asked() -> tokio::sync::mpsc::Receiver<String> {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
        // Nobody reads any more what this process says: it is an orphan.
        drop(sender);
        thread::sleep(Duration::from_secs(2));
        std::process::exit(1);
    });
    receiver
}

/// Writes whole lines, many at a time.
fn reporter() -> Sender<Bytes> {
    let (sender, lines) = mpsc::channel::<Bytes>();
    thread::spawn(move || {
        let mut output = std::io::stdout().lock();
        while let Ok(first) = lines.recv() {
            let mut text = BytesMut::from(first);
            thread::sleep(Duration::from_millis(2));
            for line in lines.try_iter() {
                text.put(line);
            }
            if output.write_all(&text).and_then(|()| output.flush()).is_err() {
                return;
            }
        }
    });
    sender
}
