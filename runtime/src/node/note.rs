//! What reaches the driver, and what it shares with everybody who can reach it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use synod_core::{
    Durable, Fetch, GroupId, Input, Instance, MasterAsk, Membership, NodeId, SmId, Stored, Time,
    TransferMessage, Tuning,
};
use synod_proto::Packet;
use tokio::sync::oneshot;

use super::applier::{Progress, ReadReply};
use super::chosen::GetReply;
use super::clock::Clock;
use super::error::{NodeError, ProposeError, ReadError};
use super::front::Front;
use super::inbox::Inbox;
use super::keeping::{Keeping, Kept};
use super::log_thread::Durably;
use super::membership::{ChangeReply, MembershipView};
use super::observing::{Observing, Seen};
use super::reply::Sink;
use super::stats::NodeStats;
use super::status::NodeStatus;
use super::ticket::Ticket;
use crate::checkpoints::Store;
use crate::log::{GroupLog, LogError};
use crate::machines::Handles;
use crate::transport::Inlet;
#[cfg(feature = "metrics")]
use crate::transport::Links;
use crate::vfs::Vfs;
use crate::{CheckpointError, MachineError, Machines};

/// One thing for the driver to look at. Groups are named by their slot.
#[derive(Debug)]
pub(super) enum Note {
    Request(Request),
    Status(oneshot::Sender<NodeStatus>),
    Shutdown {
        deadline: Time,
    },
    Tune {
        slot: usize,
        protocol: Tuning,
    },
    Master {
        slot: usize,
        ask: MasterAsk,
    },
    /// The `Node` was dropped.
    Stop,
    Packet(NodeId, Packet),
    Durable(Durable),
    Fetched {
        slot: usize,
        fetch: Fetch,
        entries: Vec<Stored>,
    },
    Founded,
    /// Whether the log takes values.
    Room(bool),
    Renewed(BTreeMap<GroupId, GroupLog>),
    LogFailed(Arc<str>),
    /// Look at what the group's applier has applied.
    Applied {
        slot: usize,
    },
    MachineFailed {
        slot: usize,
        reason: Arc<str>,
    },
    /// What the keeper of the group's checkpoints wants sent, and the group told; or the machines.
    Kept {
        slot: usize,
        messages: Vec<(NodeId, TransferMessage)>,
        inputs: Vec<Input>,
    },
    NoCheckpoint {
        slot: usize,
        at: Instance,
        reason: Arc<str>,
    },
}

/// What a user asks of a group.
#[derive(Debug)]
pub(super) enum Request {
    Propose {
        slot: usize,
        sm: SmId,
        command: Bytes,
        deadline: Time,
        reply: Ticket,
    },
    Read {
        slot: usize,
        read: ReadRequest,
    },
    Get {
        slot: usize,
        instance: Instance,
        deadline: Time,
        reply: GetReply,
    },
    Change {
        slot: usize,
        version: Instance,
        membership: Membership,
        deadline: Time,
        reply: ChangeReply,
    },
    Members {
        slot: usize,
        reply: oneshot::Sender<Result<MembershipView, NodeError>>,
    },
    Transfer {
        slot: usize,
        to: NodeId,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
    Checkpoint {
        slot: usize,
        reply: oneshot::Sender<Result<Instance, NodeError>>,
    },
    Cleaning {
        slot: usize,
        is_on: bool,
        reply: oneshot::Sender<Result<(), NodeError>>,
    },
}

impl Request {
    /// Which group it is about.
    pub(super) const fn slot(&self) -> usize {
        match self {
            Self::Propose { slot, .. }
            | Self::Read { slot, .. }
            | Self::Get { slot, .. }
            | Self::Change { slot, .. }
            | Self::Members { slot, .. }
            | Self::Transfer { slot, .. }
            | Self::Checkpoint { slot, .. }
            | Self::Cleaning { slot, .. } => *slot,
        }
    }

    /// When to give up.
    pub(super) const fn deadline(&self) -> Option<Time> {
        match self {
            Self::Propose { deadline, .. }
            | Self::Read { read: ReadRequest { deadline, .. }, .. }
            | Self::Get { deadline, .. }
            | Self::Change { deadline, .. } => Some(*deadline),
            Self::Members { .. }
            | Self::Transfer { .. }
            | Self::Checkpoint { .. }
            | Self::Cleaning { .. } => None,
        }
    }

    /// Answers with whichever of the errors fits.
    pub(super) fn refuse(self, propose: ProposeError, read: ReadError, other: NodeError) {
        match self {
            Self::Propose { reply, .. } => reply.give(Err(propose)),
            Self::Change { reply, .. } => answer(reply, Err(propose.into())),
            Self::Members { reply, .. } => answer(reply, Err(other)),
            Self::Read { read: request, .. } => answer(request.reply, Err(read)),
            Self::Get { reply, .. } => answer(reply, Err(other.into())),
            Self::Transfer { reply, .. } | Self::Cleaning { reply, .. } => {
                answer(reply, Err(other));
            }
            Self::Checkpoint { reply, .. } => answer(reply, Err(other)),
        }
    }
}

/// A read, until it has its read point.
#[derive(Debug)]
pub(super) struct ReadRequest {
    pub(super) sm: SmId,
    pub(super) query: Bytes,
    pub(super) deadline: Time,
    /// How old the state may be.
    pub(super) stale: Duration,
    pub(super) reply: ReadReply,
}

/// Answers; whoever asked may have gone, and then nobody is told.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, answer: T) {
    drop(reply.send(answer));
}

/// Shared by the driver, its threads, and the handles.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) node: NodeId,
    pub(super) clock: Clock,
    pub(super) inbox: Inbox<Note>,
    pub(super) stats: NodeStats,
    /// Known once the transport is up.
    #[cfg(feature = "metrics")]
    pub(super) links: OnceLock<Arc<dyn Links>>,
    pub(super) observing: Observing,
    ending: OnceLock<Ending>,
}

/// Why a node no longer answers.
#[derive(Clone, Debug)]
enum Ending {
    ShuttingDown,
    Failed(Arc<str>),
}

impl Shared {
    pub(super) fn new(node: NodeId, clock: Clock, observing: Observing) -> Self {
        let stats = NodeStats::default();
        Self {
            node,
            clock,
            inbox: Inbox::new(),
            stats,
            #[cfg(feature = "metrics")]
            links: OnceLock::new(),
            observing,
            ending: OnceLock::new(),
        }
    }

    /// From now on nothing more is taken. The first reason counts.
    pub(super) fn shut_down(&self) {
        self.ending.get_or_init(|| Ending::ShuttingDown);
    }

    /// From now on nothing more is taken. The first reason counts.
    pub(super) fn fail(&self, reason: &Arc<str>) {
        self.ending.get_or_init(|| Ending::Failed(Arc::clone(reason)));
    }

    /// Whether the node still takes requests.
    pub(super) fn is_open(&self) -> bool {
        self.ending.get().is_none()
    }

    /// Why the node stopped, if it was not told to.
    pub(super) fn failure(&self) -> Option<&Arc<str>> {
        match self.ending.get() {
            Some(Ending::Failed(reason)) => Some(reason),
            Some(Ending::ShuttingDown) | None => None,
        }
    }

    /// What to tell a proposer who gets no answer.
    pub(super) fn propose_error(&self) -> ProposeError {
        self.failure().map_or(ProposeError::ShuttingDown, |reason| ProposeError::Failed {
            reason: Arc::clone(reason),
        })
    }

    /// What to tell a reader who gets no answer.
    pub(super) fn read_error(&self) -> ReadError {
        self.failure().map_or(ReadError::ShuttingDown, |reason| ReadError::Failed {
            reason: Arc::clone(reason),
        })
    }

    /// Why the inbox took no proposal: it is full, or closed.
    pub(super) fn propose_refusal(&self, front: &Front) -> ProposeError {
        if self.is_open() { front.overloaded() } else { self.propose_error() }
    }

    /// Why the inbox took no read: it is full, or closed.
    pub(super) fn read_refusal(&self) -> ReadError {
        if self.is_open() { ReadError::Overloaded } else { self.read_error() }
    }

    /// Why the inbox took nothing else: it is full, or closed.
    pub(super) fn node_refusal(&self) -> NodeError {
        if self.is_open() { NodeError::Overloaded } else { self.node_error() }
    }

    /// Refuses a request because the node takes no more.
    pub(super) fn refuse(&self, request: Request) {
        request.refuse(self.propose_error(), self.read_error(), self.node_error());
    }

    /// What to tell anybody else who gets no answer.
    pub(super) fn node_error(&self) -> NodeError {
        self.failure().map_or(NodeError::ShuttingDown, |reason| NodeError::Failed {
            reason: Arc::clone(reason),
        })
    }
}

/// Packets from the network. The connections stop reading while [`PACKETS_MAX`] notes wait.
pub(super) struct FromPeers(pub(super) Arc<Shared>);

impl Inlet for FromPeers {
    fn deliver(&self, from: NodeId, packets: &mut Vec<Packet>) {
        self.0.inbox.extend(packets.drain(..).map(|packet| Note::Packet(from, packet)));
    }

    fn link(&self, peer: NodeId, connected: bool) {
        self.0.observing.tell(|| Seen::Connected(peer, connected));
    }

    fn is_full(&self) -> bool {
        self.0.inbox.len() >= PACKETS_MAX
    }
}

/// What the log thread says.
pub(super) struct FromLog(pub(super) Arc<Shared>);

impl Durably for FromLog {
    fn durable(&self, durables: &mut Vec<Durable>) {
        self.0.inbox.extend(durables.drain(..).map(Note::Durable));
    }

    fn synced(&self, batches: usize, value_bytes: u64, took: Duration) {
        let stats = &self.0.stats;
        stats.sync.record(took);
        stats.written_batches.add(u64::try_from(batches).unwrap_or(u64::MAX));
        stats.written_bytes.add(value_bytes);
        self.0.observing.tell(|| Seen::LogSynced(batches, value_bytes, took));
    }

    fn founded(&self) {
        self.0.inbox.push(Note::Founded);
    }

    fn room(&self, has_room: bool) {
        self.0.inbox.push(Note::Room(has_room));
    }

    fn renewed(&self, groups: BTreeMap<GroupId, GroupLog>) {
        self.0.inbox.push(Note::Renewed(groups));
    }

    fn failed(&self, error: &LogError) {
        let reason =
            format!("the log has stopped: {error}; mend the disk and start the node again");
        self.0.inbox.push(Note::LogFailed(reason.into()));
    }
}

/// What a group's applier says.
pub(super) struct FromMachines<V: Vfs> {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: usize,
    pub(super) store: Store<V>,
    pub(super) keeping: Keeping,
}

impl<V: Vfs> Progress for FromMachines<V> {
    fn applied(&self) {
        self.shared.inbox.push(Note::Applied { slot: self.slot });
    }

    fn digested(&self, at: Instance, state: Option<u64>) {
        let inputs = vec![Input::Digested { at, state }];
        self.shared.inbox.push(Note::Kept { slot: self.slot, messages: Vec::new(), inputs });
    }

    fn failed(&self, error: &MachineError) {
        let reason = error.to_string().into();
        self.shared.inbox.push(Note::MachineFailed { slot: self.slot, reason });
    }

    fn checkpoint(&self, at: Instance, state: Bytes, handles: Result<Handles, CheckpointError>) {
        self.keeping.write(at, state, handles);
    }

    fn load(&self, machines: &mut Machines, at: Instance) -> Result<(), MachineError> {
        machines.load(at, |sm| self.store.loaded(at, sm))
    }
}

/// What the keeper of a group's checkpoints says.
pub(super) struct FromKeeper {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: usize,
}

impl Kept for FromKeeper {
    fn kept(&self, messages: Vec<(NodeId, TransferMessage)>, inputs: Vec<Input>) {
        self.shared.inbox.push(Note::Kept { slot: self.slot, messages, inputs });
    }

    fn failed(&self, at: Instance, error: &CheckpointError) {
        let reason = error.to_string().into();
        self.shared.inbox.push(Note::NoCheckpoint { slot: self.slot, at, reason });
    }
}

/// Notes that may wait before connections are no longer read.
const PACKETS_MAX: usize = 16 * 1024;

/// Notes that may wait before requests are refused as overload.
pub(super) const REQUESTS_MAX: usize = 64 * 1024;
