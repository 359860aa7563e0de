//! An invariant of the core that does not hold: only its group stops.

use std::sync::Arc;

use bytes::Bytes;
use synod_core::{
    Config, Group, GroupId, Incarnation, Input, Instance, Member, Membership, NodeId, Recovered,
    SmId, Start, Time,
};
use tokio::sync::watch;

use super::super::applier::{Applier, Progress};
use super::super::error::ProposeError;
use super::super::front::Front;
use super::super::hosted::{Hosted, Limits};
use super::super::keeping::Keeping;
use super::super::pool::Pool;
use super::super::status::GroupState;
use super::super::ticket::Ticket;
use crate::machines::Handles;
use crate::{CheckpointError, MachineError, Machines};

struct Quiet;

impl Progress for Quiet {
    fn digested(&self, _: Instance, _: Option<u64>) {}
    fn applied(&self) {}
    fn failed(&self, _error: &MachineError) {}
    fn checkpoint(&self, _: Instance, _: Bytes, _: Result<Handles, CheckpointError>) {}
    fn load(&self, _: &mut Machines, _: Instance) -> Result<(), MachineError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_invariant_ends_the_group_like_a_crash() {
    let machines = Machines::new(vec![Box::new(super::Count(0))]).unwrap();
    let applier = Applier::new(&Pool::new("test".into()), machines, 1, Quiet);
    let me = Member { node: NodeId(1), incarnation: Incarnation(7) };
    let limits = Limits { command_bytes_max: 100, reads_max: 100 };
    let (state, watched) = watch::channel(GroupState::default());
    let front = Arc::new(Front::default());
    let (keeping, its) = (Keeping::idle(), Arc::clone(&front));
    let mut hosted = Hosted::new(GroupId(3), me, limits, applier, keeping, its, state);
    let start = Start {
        cluster: synod_core::ClusterId(1),
        group: GroupId(3),
        me,
        boot: 1,
        membership: Membership::new(vec![me], vec![]).unwrap(),
        recovered: Recovered::default(),
        config: Config::default(),
        now: Time::ZERO,
    };
    hosted.run(Time::ZERO, Group::start(start).unwrap());
    let (ticket, answer) = Ticket::new(1, None, &front).unwrap();
    let at = Time::from_millis;
    hosted.propose(at(1), SmId(0), Bytes::from_static(b"a"), at(500), ticket);
    // More than was handed out: the core's own assertion.
    hosted.step(at(2), Input::Applied(Instance(99)));
    let failed = hosted.status().failed.unwrap();
    assert!(failed.contains("group 3 broke an invariant: applied #99"), "{failed}");
    assert_eq!(watched.borrow().failed.as_deref(), Some(&*failed));
    assert!(hosted.status().core.is_none(), "it says nothing any more");
    assert!(hosted.outbox.is_empty(), "and nothing that it was about to say leaves");
    assert!(matches!(answer.await, Ok(Err(ProposeError::Failed { .. }))));
    hosted.step(at(3), Input::Tick);
    assert!(hosted.outbox.is_empty());
    assert_eq!(hosted.deadline(at(3)), None);
}
