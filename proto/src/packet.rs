//! What one frame carries.

use synod_core::{FoundingMessage, GroupId, Incarnation, Message, TransferMessage};

use crate::hello::Hello;
use crate::judge::Judgement;

/// What one frame carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// The first packet on a connection, each way.
    Hello(Hello),
    /// The answer to a hello, before anything else: who is refused takes new incarnations.
    Judged(Judgement),
    /// About the first start of a cluster.
    Founding(FoundingMessage),
    /// About one group.
    Group {
        /// The group.
        group: GroupId,
        /// The memory that the sender has of the group. With the node of the connection's hello it
        /// makes the [`Member`](synod_core::Member) that speaks.
        ///
        /// The receiver's memory is not named. A message meant for an earlier memory of the
        /// receiver is harmless: answers name a ballot, which contains the incarnation that asked,
        /// and what a new memory says in turn goes out under its own incarnation.
        from: Incarnation,
        /// What it says.
        message: Message,
    },
    /// About the transfer of a checkpoint of one group. Who says it needs no memory: checkpoints hold
    /// what is chosen, and nobody's vote.
    Transfer {
        /// The group.
        group: GroupId,
        /// What it says.
        message: TransferMessage,
    },
}
