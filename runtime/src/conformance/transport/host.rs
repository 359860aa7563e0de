//! A node that is nothing but its transport, on a thread of its own.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use synod_core::{ClusterId, GroupId, Incarnation, NodeId};
use synod_proto::Packet;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::Suite;
use super::record::Record;
use crate::transport::{
    Endpoint, Frame, FrameLimits, Identity, Inlet, LinkStatus, Network, Refused, SharedIdentity,
};

/// Who a host says it is.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) node: u64,
    pub(super) cluster: u64,
    pub(super) boot: u64,
    pub(super) nonce: u64,
}

/// The first start of a node of the usual cluster.
pub(super) const fn who(node: u64) -> Who {
    Who { node, cluster: 7, boot: 1, nonce: node }
}

type Job = Box<dyn FnOnce(&mut Network) + Send>;

/// A node that is nothing but its transport.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) node: u64,
    pub(super) record: Arc<Record>,
    jobs: UnboundedSender<Job>,
    thread: JoinHandle<()>,
    patience: Duration,
}

impl Host {
    /// Starts one that listens at this address.
    pub(super) fn start(suite: &Suite, address: &str, who: &Who) -> Result<Self, String> {
        let begun = Instant::now();
        loop {
            match Self::try_start(suite, address, who)? {
                Ok(host) => return Ok(host),
                // Its last owner may just be about to let it go.
                Err(error)
                    if error.kind() == io::ErrorKind::AddrInUse
                        && begun.elapsed() < suite.patience =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => return Err(format!("cannot start at {address:?}: {error}")),
            }
        }
    }

    fn try_start(suite: &Suite, address: &str, who: &Who) -> Result<io::Result<Self>, String> {
        let record = Arc::new(Record::default());
        let identity = SharedIdentity::new(Identity {
            node: NodeId(who.node),
            cluster: Some(ClusterId(who.cluster)),
            boot: who.boot,
            durable_batch: Arc::new(AtomicU64::new(who.boot * 100)),
            nonce: who.nonce,
            groups: vec![(GroupId(0), Incarnation(who.node)), (GroupId(7), Incarnation(who.node))],
        });
        let inlet: Arc<dyn Inlet> = Arc::<Record>::clone(&record);
        let endpoint = Endpoint::new(identity, inlet, LIMITS);
        let (jobs, mut next) = unbounded_channel::<Job>();
        let (tell, told) = mpsc::channel();
        let (setup, address) = (Arc::clone(&suite.setup), address.to_owned());
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(error))),
            };
            runtime.block_on(async {
                let mut network = match setup.start(&address, endpoint.clone()) {
                    Ok(transport) => Network::new(endpoint, transport),
                    Err(error) => return drop(tell.send(Err(error))),
                };
                drop(tell.send(Ok(())));
                while let Some(job) = next.recv().await {
                    job(&mut network);
                }
            });
            runtime.shutdown_timeout(Duration::ZERO);
        };
        let thread = std::thread::Builder::new()
            .name(format!("conformance-{}", who.node))
            .spawn(run)
            .map_err(|error| format!("no thread for a node: {error}"))?;
        let started = told
            .recv_timeout(suite.patience)
            .map_err(|_| format!("the start did not return within {:?}", suite.patience))?;
        let (node, patience) = (who.node, suite.patience);
        Ok(started.map(|()| Self { node, record, jobs, thread, patience }))
    }

    /// Does something with the transport, on its thread.
    pub(super) fn call<T: Send + 'static>(
        &self,
        what: &str,
        job: impl FnOnce(&mut Network) -> T + Send + 'static,
    ) -> Result<T, String> {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move |network| drop(tell.send(job(network))));
        let gone = || format!("the transport of node {} panicked in `{what}`", self.node);
        self.jobs.send(job).map_err(|_| gone())?;
        told.recv_timeout(self.patience).map_err(|error| match error {
            mpsc::RecvTimeoutError::Timeout => format!(
                "`{what}` at node {} did not return within {:?}: it must not wait for anything; drop \
                 what finds no room",
                self.node, self.patience
            ),
            mpsc::RecvTimeoutError::Disconnected => gone(),
        })
    }

    pub(super) fn connect(&self, peer: u64, address: &str) -> Result<(), String> {
        let address = address.to_owned();
        self.call("connect", move |network| network.connect(NodeId(peer), &address))
    }

    /// Sends these, and flushes.
    pub(super) fn send(&self, to: u64, packets: Vec<Packet>) -> Result<(), String> {
        self.call("send", move |network| {
            for packet in packets {
                network.send(NodeId(to), &Frame(packet));
            }
            network.flush();
        })
    }

    pub(super) fn status(&self) -> Result<Vec<(NodeId, LinkStatus)>, String> {
        self.call("status", |network| network.status())
    }

    /// What is known of the way out to a peer.
    pub(super) fn link(&self, peer: u64) -> Result<LinkStatus, String> {
        let status = self.status()?;
        let link = status.iter().find(|(node, _)| node.0 == peer);
        link.map(|(_, link)| *link).ok_or_else(|| {
            format!("`Links::status` of node {} does not list node {peer}", self.node)
        })
    }

    pub(super) fn refused(&self) -> Result<Refused, String> {
        self.call("status", |network| network.refused())
    }

    /// Drops the transport, and then its runtime; says who still holds on to the node.
    pub(super) fn end(self, suite: &Suite) -> Result<(), String> {
        let Self { node, record, jobs, thread, .. } = self;
        drop(jobs);
        suite.until(
            || format!("the thread of node {node} has ended, after its transport was dropped"),
            || Ok(thread.is_finished()),
        )?;
        if thread.join().is_err() {
            return Err(format!("the transport of node {node} panicked"));
        }
        let left: Weak<Record> = Arc::downgrade(&record);
        drop(record);
        suite.until(
            || {
                format!(
                    "all clones of the endpoint of node {node} are gone after the transport was \
                        dropped: a task, a thread or what `links` gave still has one"
                )
            },
            || Ok(left.strong_count() == 0),
        )
    }
}

/// Nodes of the usual cluster, each told of all others, with their addresses.
pub(super) fn cluster(suite: &Suite, nodes: u64) -> Result<(Vec<Host>, Vec<String>), String> {
    let addresses: Vec<String> = (0..nodes).map(|_| suite.setup.address()).collect();
    let hosts = (1..).zip(&addresses).map(|(node, at)| Host::start(suite, at, &who(node)));
    let hosts = hosts.collect::<Result<Vec<Host>, String>>()?;
    for host in &hosts {
        for (peer, address) in (1..).zip(&addresses).filter(|(peer, _)| *peer != host.node) {
            host.connect(peer, address)?;
        }
    }
    Ok((hosts, addresses))
}

/// Ends all of them.
pub(super) fn end(suite: &Suite, hosts: Vec<Host>) -> Result<(), String> {
    hosts.into_iter().try_for_each(|host| host.end(suite))
}

/// Smaller than those of a node, so that they are soon reached.
pub(super) const LIMITS: FrameLimits =
    FrameLimits { frame_bytes_max: 2 * 1024 * 1024, queue_bytes_max: 4 * 1024 * 1024 };
