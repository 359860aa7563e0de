//! One node: its data directory, its groups, and the service on top, from the start to a polite end.
//!
//! ```text
//! DATA/lock             held while the server runs
//! DATA/groups           how many groups there are: never changes
//! DATA/log/             Synod's log and checkpoints
//! DATA/state/N.redb     the state of group N
//! ```
#![expect(clippy::print_stdout, reason = "a server says where it listens")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use synod::vfs::{StdVfs, Vfs};
use synod::{Bootstrap, CheckpointPolicy, GroupId, Node};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::api::kv_server::KvServer;
use crate::machine::KvMachine;
use crate::service::{Hosted, Service};
use crate::store::Store;

/// What a server has to be told.
#[derive(Clone, Debug, Args)]
pub struct ServerOptions {
    /// This node's number: from 1, different on each, never used again for another.
    #[arg(long)]
    pub id: u64,
    /// Where clients come to.
    #[arg(long, value_name = "IP:PORT")]
    pub serve: SocketAddr,
    /// Where the other nodes come to. Keep it to networks that you trust.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: String,
    /// Another node, and where it listens for nodes. Give all of them, on all nodes; none founds a
    /// cluster of one.
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = peer)]
    pub peer: Vec<(u64, String)>,
    /// Where to keep everything. Never copy it, and never give a node an old one back.
    #[arg(long, value_name = "DIRECTORY")]
    pub data: PathBuf,
    /// How many groups share the keys, each with a leader of its own. The same on all nodes, for ever.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub groups: u32,
    /// Take a checkpoint every so many instances of a group's log, and forget what lies as far below it.
    #[arg(long, value_name = "INSTANCES", default_value_t = 10_000)]
    pub checkpoint_every: u64,
}

fn peer(text: &str) -> Result<(u64, String), String> {
    let (id, address) = text.split_once('=').ok_or("should be ID=HOST:PORT")?;
    let id = id.parse().map_err(|error| format!("node number {id:?}: {error}"))?;
    Ok((id, address.to_owned()))
}

/// Runs a server until SIGTERM or SIGINT.
///
/// # Errors
///
/// If it cannot start, or its socket fails.
pub async fn serve(options: ServerOptions) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let vfs = StdVfs;
    let state = options.data.join("state");
    vfs.create_dir_all(&state)?;
    let lock = vfs.lock(&options.data.join("lock"))?;
    let _lock = lock.ok_or_else(|| format!("{:?} is in use by another process", options.data))?;
    check_groups(&options.data, options.groups)?;

    let (node, hosted) = start(&options, &state).await?;
    let (stop, stopping) = watch::channel(false);
    let service = KvServer::new(Service::new(hosted, stopping.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_BYTES_MAX);
    let listener = TcpListener::bind(options.serve).await?;
    println!(
        "node {} serves clients at {} and nodes at {}",
        options.id,
        listener.local_addr()?,
        node.local_addr()
    );
    let is_stopping = |mut stopping: watch::Receiver<bool>| async move {
        stopping.wait_for(|&is_stopping| is_stopping).await.map(drop).unwrap_or_default();
    };
    let serving = Server::builder().add_service(service).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        is_stopping(stopping.clone()),
    );
    let patience = async {
        is_stopping(stopping).await;
        tokio::time::sleep(PATIENCE).await;
    };
    let told = async {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        println!("node {} is told to stop", options.id);
        stop.send_replace(true);
        std::future::pending::<()>().await;
    };
    // First the clients: their requests are answered, their watches end, nothing new is taken.
    let served = tokio::select! {
        served = serving => served,
        () = patience => Ok(()),
        () = told => Ok(()),
    };
    // Then the node, which hands its leaderships over.
    node.shutdown().await;
    Ok(served?)
}

async fn start(
    options: &ServerOptions,
    state: &Path,
) -> Result<(Node, Vec<Hosted>), Box<dyn Error>> {
    let is_alone = options.peer.is_empty();
    let mut builder = Node::builder()
        .id(options.id)
        .listen(&options.listen)
        .data_dir(options.data.join("log"))
        .bootstrap(if is_alone { Bootstrap::Found } else { Bootstrap::Auto })
        .checkpoints(CheckpointPolicy {
            instances: options.checkpoint_every,
            keep_instances: options.checkpoint_every,
            ..CheckpointPolicy::default()
        });
    for (id, address) in &options.peer {
        builder = builder.peer(*id, address);
    }
    let mut stores = Vec::new();
    for group in (0..options.groups).map(GroupId) {
        let store = Store::open(&StdVfs, state, &format!("{}.redb", group.0))?;
        let machine = KvMachine::new(store.clone())?;
        stores.push((group, store, machine.feed()));
        builder = builder.group(group, || vec![Box::new(machine)]);
    }
    let node = builder.start().await?;
    let mut hosted = Vec::new();
    for (id, store, feed) in stores {
        let group = node.group(id).ok_or("a group that was given is there")?;
        hosted.push(Hosted { group, store, feed });
    }
    Ok((node, hosted))
}

/// Keys are looked for by the number of groups: another number would not find them.
fn check_groups(data: &Path, groups: u32) -> Result<(), Box<dyn Error>> {
    let path = data.join("groups");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim() == groups.to_string() => Ok(()),
        // Empty: power failed while it was written, before anything else was.
        Ok(text) if !text.trim().is_empty() => {
            Err(format!("{data:?} was made with --groups {}, not {groups}", text.trim()).into())
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        Ok(_) | Err(_) => {
            let mut file = std::fs::File::create(&path)?;
            std::io::Write::write_all(&mut file, groups.to_string().as_bytes())?;
            file.sync_all()?;
            Ok(StdVfs.sync_dir(data)?)
        }
    }
}

/// Above the largest command.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// How long requests under way may take when the server stops.
const PATIENCE: Duration = Duration::from_secs(5);
