//! Who votes and who follows: shown, watched and changed.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use synod_core::{Incarnation, Instance, Member, Membership, NodeId};
use tokio::sync::oneshot;

use super::error::{ChangeError, NodeError};
use super::handle::GroupHandle;
use super::note::{Note, REQUESTS_MAX, Request};
use super::status::GroupState;

/// Where the outcome of a change goes.
pub(super) type ChangeReply = oneshot::Sender<Result<Instance, ChangeError>>;

/// A group's membership, as far as one node knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembershipView {
    /// The instance of its entry; zero for what the cluster was founded with.
    pub version: Instance,
    /// Whether the change that made it is complete as far as is known here: who left it may stop.
    pub complete: bool,
    /// Who votes and follows, each with its memory.
    pub membership: Membership,
}

impl MembershipView {
    /// Where the members listen, as far as the membership says: those it was founded with are known
    /// from the settings of each node.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<NodeId, String> {
        addresses(self.membership.book())
    }
}

/// The membership of one group: [`GroupHandle::membership`].
///
/// Every change is one entry in the log, whatever it does to how many nodes, and is made for the
/// version that this node knows, or for [a given one](Self::at_version): if somebody else is faster it fails with
/// [`ChangeError::VersionConflict`], and nothing is done. A change is answered when it is *complete*:
/// a quorum of the new voters holds the log, and whoever was removed may be stopped.
#[derive(Clone, Debug)]
pub struct MembershipHandle<'a> {
    group: &'a GroupHandle,
    version: Option<Instance>,
    timeout: Option<Duration>,
}

impl<'a> MembershipHandle<'a> {
    pub(super) const fn new(group: &'a GroupHandle) -> Self {
        Self { group, version: None, timeout: None }
    }

    /// Makes changes of this version only: the one that whoever decided on the change has seen, which
    /// may be older than what this node knows by now.
    #[must_use]
    pub const fn at_version(self, version: Instance) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Gives changes this much time, instead of what the builder's
    /// [`timeout`](crate::NodeBuilder::timeout) says: a node that is added learns the log first.
    #[must_use]
    pub const fn within(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// Who votes and follows.
    ///
    /// # Errors
    ///
    /// If the node has ended, or is not in a cluster yet.
    pub async fn show(&self) -> Result<MembershipView, NodeError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Members { slot: self.group.slot, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.group.shared.node_error()))
    }

    /// Waits for a complete membership of another version than this, and shows it.
    ///
    /// # Errors
    ///
    /// If the node ends. Waits for ever otherwise: wrap it in a timeout.
    pub async fn changed(&self, from: Instance) -> Result<MembershipView, NodeError> {
        let mut state = self.group.state.clone();
        loop {
            let is_other =
                |now: &GroupState| now.role.is_some() && now.version != from && !now.changing;
            let seen = state.wait_for(is_other).await.map(drop);
            seen.map_err(|_| self.group.shared.node_error())?;
            let view = self.show().await?;
            if view.version != from && view.complete {
                return Ok(view);
            }
        }
    }

    /// Adds a voter that listens at `address`. It has to run, with nodes of the cluster as its peers:
    /// it learns the log first.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn add(&self, node: NodeId, address: &str) -> Result<Instance, ChangeError> {
        self.change(|draft| {
            draft.insert(node, address)?;
            draft.voters.push(unknown(node));
            Ok(())
        })
        .await
    }

    /// Adds a node that only learns, and serves reads.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn add_follower(&self, node: NodeId, address: &str) -> Result<Instance, ChangeError> {
        self.change(|draft| {
            draft.insert(node, address)?;
            draft.followers.push(unknown(node));
            Ok(())
        })
        .await
    }

    /// Removes a voter or follower. The memory that it has never comes back.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn remove(&self, node: NodeId) -> Result<Instance, ChangeError> {
        self.change(|draft| draft.remove(node).map(drop)).await
    }

    /// Puts a node in the place of another one, in one step. With `old` the same as `new` it stays,
    /// with whatever memory it has now: leaders do that by themselves, unless `Config::swap_in` is
    /// off.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn replace(
        &self,
        old: NodeId,
        new: NodeId,
        address: &str,
    ) -> Result<Instance, ChangeError> {
        self.change(|draft| {
            let voted = draft.remove(old)?;
            draft.insert(new, address)?;
            let members = if voted { &mut draft.voters } else { &mut draft.followers };
            members.push(unknown(new));
            Ok(())
        })
        .await
    }

    /// Makes a follower a voter.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn promote(&self, node: NodeId) -> Result<Instance, ChangeError> {
        self.change(|draft| {
            let at = draft.followers.iter().position(|member| member.node == node);
            draft.voters.push(draft.followers.remove(at.ok_or(ChangeError::NoMember(node))?));
            Ok(())
        })
        .await
    }

    /// Tells all members where a node listens from now on.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn move_to(&self, node: NodeId, address: &str) -> Result<Instance, ChangeError> {
        self.change(|draft| {
            draft.member(node).ok_or(ChangeError::NoMember(node))?;
            draft.addresses.insert(node, address.to_owned());
            Ok(())
        })
        .await
    }

    /// Any change of several nodes at once.
    ///
    /// # Errors
    ///
    /// See [`ChangeError`].
    pub async fn change(
        &self,
        edit: impl FnOnce(&mut Draft) -> Result<(), ChangeError> + Send,
    ) -> Result<Instance, ChangeError> {
        let timeout = self.timeout.unwrap_or_else(|| self.group.front.timeout());
        let view = self.show().await?;
        let version = view.version;
        if self.version.is_some_and(|wanted| wanted != version) {
            return Err(ChangeError::VersionConflict { version });
        }
        let mut draft = Draft::of(&view);
        edit(&mut draft)?;
        let membership = draft.membership()?;
        let (reply, answer) = oneshot::channel();
        let (slot, deadline) = (self.group.slot, self.group.shared.clock.now() + timeout);
        self.send(Request::Change { slot, version, membership, deadline, reply })?;
        answer.await.unwrap_or_else(|_| Err(self.group.shared.node_error().into()))
    }

    fn send(&self, request: Request) -> Result<(), NodeError> {
        let shared = &self.group.shared;
        let offered = shared.inbox.offer(Note::Request(request), REQUESTS_MAX);
        offered.map_err(|_| shared.node_refusal())
    }
}

/// A membership to be.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who votes. Incarnation zero stands for whatever memory the node has.
    pub voters: Vec<Member>,
    /// Who only learns.
    pub followers: Vec<Member>,
    /// Where they listen.
    pub addresses: BTreeMap<NodeId, String>,
}

impl Draft {
    fn of(view: &MembershipView) -> Self {
        let (voters, followers) = (view.membership.voters(), view.membership.followers());
        let addresses = view.addresses();
        Self { voters: voters.to_vec(), followers: followers.to_vec(), addresses }
    }

    fn member(&self, node: NodeId) -> Option<&Member> {
        self.voters.iter().chain(&self.followers).find(|member| member.node == node)
    }

    fn insert(&mut self, node: NodeId, address: &str) -> Result<(), ChangeError> {
        if self.member(node).is_some() {
            return Err(ChangeError::IsMember(node));
        }
        self.addresses.insert(node, address.to_owned());
        Ok(())
    }

    /// Whether it voted.
    fn remove(&mut self, node: NodeId) -> Result<bool, ChangeError> {
        self.member(node).ok_or(ChangeError::NoMember(node))?;
        self.addresses.remove(&node);
        let voted = self.voters.iter().any(|member| member.node == node);
        self.voters.retain(|member| member.node != node);
        self.followers.retain(|member| member.node != node);
        Ok(voted)
    }

    fn membership(self) -> Result<Membership, ChangeError> {
        let book = book(&self.addresses);
        Ok(Membership::new(self.voters, self.followers)?.with_book(book)?)
    }
}

const fn unknown(node: NodeId) -> Member {
    Member { node, incarnation: Incarnation(0) }
}

/// The address book as it stands in the membership: a line `node address` for each.
fn book(addresses: &BTreeMap<NodeId, String>) -> Bytes {
    let mut text = String::new();
    for (node, address) in addresses {
        text.push_str(&format!("{node} {address}\n"));
    }
    text.into()
}

/// Reads an address book; lines that are none are left out.
pub(super) fn addresses(book: &[u8]) -> BTreeMap<NodeId, String> {
    let text = std::str::from_utf8(book).unwrap_or_default();
    let line = |line: &str| {
        let (node, address) = line.split_once(' ')?;
        Some((NodeId(node.parse().ok()?), address.to_owned()))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_book_comes_back() {
        let known =
            BTreeMap::from([(NodeId(1), "host:1".to_owned()), (NodeId(20), "[::1]:2".to_owned())]);
        assert_eq!(addresses(&book(&known)), known);
        assert_eq!(addresses(b"x y\n\xff"), BTreeMap::new());
    }
}
