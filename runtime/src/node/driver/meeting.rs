//! Whom this node connects to, and where.
//!
//! Members are where the newest membership's address book says, and those that no group's book names, since
//! they founded the cluster, where this node was told at its start. What a change that is only *asked for*
//! says counts as follows: at the node where it is asked it counts until the change has failed, so that
//! voters that have moved can be found again; elsewhere it counts for nodes that are no members yet,
//! which have to be met to join.

use std::collections::{BTreeMap, BTreeSet};

use synod_core::{Member, NodeId};

use super::Driver;
use crate::node::hosted::Hosted;
use crate::node::membership::addresses;

/// Who was met so far.
pub(in crate::node) struct Meeting {
    /// Where this node was told at its start that its peers are.
    told: BTreeMap<NodeId, String>,
    /// Who is or was a member of some group, since this node started.
    met: BTreeSet<NodeId>,
    /// Who had left all of them at the last change.
    left: BTreeSet<NodeId>,
}

impl Meeting {
    pub(in crate::node) const fn new(told: BTreeMap<NodeId, String>) -> Self {
        Self { told, met: BTreeSet::new(), left: BTreeSet::new() }
    }
}

impl Driver {
    /// Connects to everybody in an address book: members to be as well.
    pub(super) fn meet(&mut self, book: &[u8]) {
        for (node, address) in addresses(book) {
            self.network.connect(node, &address);
        }
    }

    /// Connects to those in an address book who are no members of any group.
    pub(super) fn meet_strangers(&mut self, book: &[u8]) {
        for (node, address) in addresses(book) {
            if !self.meeting.met.contains(&node) || self.meeting.left.contains(&node) {
                self.network.connect(node, &address);
            }
        }
    }

    /// Follows the membership of a group: connects to its members where it says they listen. Whoever
    /// left all groups is known no longer from the next change on: until then it may still be told
    /// that it was removed. Those that this node was told of at its start and that never were members
    /// stay known: they may be on their way in.
    pub(super) fn follow(&mut self, slot: usize) {
        let Some((members, book)) = self.groups[slot].members() else { return };
        let book = addresses(book);
        for (node, address) in &book {
            self.network.connect(*node, address);
        }
        let books = self.groups.iter().filter_map(Hosted::members).map(|(_, book)| addresses(book));
        let named: BTreeSet<NodeId> = books.flat_map(BTreeMap::into_keys).collect();
        for Member { node, .. } in members {
            if let Some(address) = self.meeting.told.get(&node).filter(|_| !named.contains(&node)) {
                self.network.connect(node, address);
            }
        }
        if self.groups.iter().any(|group| group.members().is_none()) {
            return;
        }
        let all = self.groups.iter().filter_map(Hosted::members).flat_map(|(members, _)| members);
        let members: BTreeSet<NodeId> = all.map(|member| member.node).collect();
        let Meeting { met, left, .. } = &mut self.meeting;
        let gone: BTreeSet<NodeId> = met.difference(&members).copied().collect();
        for peer in std::mem::replace(left, gone).difference(&members) {
            self.network.disconnect(*peer);
            met.remove(peer);
        }
        met.extend(members);
    }
}
