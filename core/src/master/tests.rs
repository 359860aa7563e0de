use super::*;
use crate::ids::{Ballot, SmId};
use crate::origin::Origin;
use crate::outbox::Event;
use crate::testing::{Kit, ballot, member};
use crate::value::CommandKey;
use alloc::vec::Vec;
use proptest::prelude::*;

const LEASE: Duration = Duration::from_millis(1000);
const PPM: u32 = 10_000;

/// One node's part, and the log that all share.
struct Node {
    kit: Kit,
    origin: Origin,
    steward: Steward,
    /// How much of the log it has executed.
    executed: usize,
}

/// An order in the log.
#[derive(Clone, Copy)]
struct Chosen {
    by: Member,
    key: CommandKey,
    order: Order,
}

fn node(me: u64, boot: u64) -> Node {
    let mut kit = Kit::new(3);
    kit.env.me = member(me);
    kit.env.config.clock_rate_bound_ppm = PPM;
    let origin = Origin::new(member(me).incarnation, boot);
    let steward = Steward::new(boot, LEASE, me, Time::ZERO);
    Node { kit, origin, steward, executed: 0 }
}

impl Node {
    fn at(&mut self, millis: u64) -> &mut Self {
        self.kit.at(millis);
        self
    }

    /// Lets it ask if it is time to, while a node leads; what it asks, with its key.
    fn tick(&mut self, leader: Ballot) -> Option<Chosen> {
        let before = self.origin.span();
        self.steward.tick(leader, &mut self.origin, &mut self.kit.ctx());
        (self.origin.span() > before).then(|| self.last())
    }

    fn ask(&mut self, ask: MasterAsk) -> Option<Chosen> {
        let before = self.origin.span();
        self.steward.on_ask(ask, &mut self.origin, &mut self.kit.ctx());
        (self.origin.span() > before).then(|| self.last())
    }

    /// The newest proposal of its own.
    fn last(&self) -> Chosen {
        let command = self.origin.newest().unwrap();
        assert_eq!(command.sm, SmId::MASTER);
        let order = Order::decode(&command.payload).unwrap();
        Chosen { by: self.kit.env.me, key: command.key, order }
    }

    fn execute(&mut self, instance: u64, chosen: Chosen) {
        let payload = chosen.order.encode();
        let ctx = &mut self.kit.ctx();
        self.steward.execute(Instance(instance), chosen.by, chosen.key, &payload, ctx);
        self.origin.resolve(chosen.key);
    }

    /// Gives up what is due.
    fn give_up(&mut self) {
        self.origin.expire(&mut self.kit.ctx());
    }

    fn is_master(&self) -> bool {
        self.steward.view(self.kit.env.me).is_master(self.kit.env.now)
    }

    fn holder(&self) -> Option<Member> {
        self.steward.view(self.kit.env.me).holder(self.kit.env.now)
    }
}

const LEADER: Ballot = ballot(1, 1);

#[test]
fn the_holder_counts_from_before_it_asked_and_others_from_when_they_learned() {
    let (mut one, mut two) = (node(1, 1), node(2, 1));
    let asked = one.at(100).tick(LEADER).unwrap();
    one.at(150).execute(5, asked);
    two.at(200).execute(5, asked);
    assert!(one.at(1089).is_master());
    assert!(!one.at(1090).is_master(), "1000 ms less one percent, from 100 on");
    assert_eq!(two.at(1209).holder(), Some(member(1)));
    assert_eq!(two.at(1211).holder(), None, "1000 ms and one percent more, from 200 on");
    assert!(two.at(1209).tick(LEADER).is_none());
    assert!(two.at(1211 + 250).tick(LEADER).is_some(), "who leads may ask first");
}

#[test]
fn of_two_that_build_on_the_same_version_the_first_wins() {
    let (mut one, mut two) = (node(1, 1), node(2, 1));
    let first = one.tick(LEADER).unwrap();
    let second = two.at(250).tick(LEADER).unwrap();
    for node in [&mut one, &mut two] {
        node.at(300).execute(1, first);
        node.execute(2, second);
        assert_eq!(node.holder(), Some(member(1)));
        assert_eq!(node.steward.view(member(1)).state.version, Instance(1));
    }
    assert!(one.is_master() && !two.is_master());
}

#[test]
fn a_master_renews_before_its_lease_ends() {
    let mut one = node(1, 1);
    let asked = one.tick(LEADER).unwrap();
    one.at(10).execute(1, asked);
    assert!(one.at(300).tick(LEADER).is_none());
    let renewed = one.at(400).tick(LEADER).unwrap();
    assert_eq!(renewed.order, Order::Acquire { expected: Instance(1), lease: LEASE });
    one.at(420).execute(2, renewed);
    assert!(one.at(1300).is_master());
    assert_eq!(one.kit.events().len(), 1, "a renewal is no change");
}

#[test]
fn a_lease_that_took_long_to_get_is_renewed_soon() {
    let mut one = node(1, 1);
    let asked = one.tick(LEADER).unwrap();
    one.at(300).execute(1, asked);
    assert!(one.is_master());
    assert!(one.at(330).tick(LEADER).is_none());
    assert!(one.at(340).tick(LEADER).is_some(), "a third of the lease after it was asked for");
}

#[test]
fn one_order_is_under_way_until_it_is_given_up() {
    let mut one = node(1, 1);
    let first = one.tick(LEADER).unwrap();
    for at in [300, 600, 900] {
        assert!(one.at(at).tick(LEADER).is_none(), "at {at} ms");
    }
    one.at(1000).give_up();
    let second = one.at(1300).tick(LEADER).unwrap();
    one.at(1310).execute(1, first);
    assert!(one.at(1400).tick(LEADER).is_none(), "it came late, and the second is under way");
    one.execute(2, second);
    assert!(!one.is_master(), "it builds on what was before the first");
    assert!(one.at(1600).tick(LEADER).is_some());
}

#[test]
fn a_process_that_starts_anew_is_no_master_and_need_not_wait_for_itself() {
    let mut one = node(1, 1);
    let asked = one.tick(LEADER).unwrap();
    let mut again = node(1, 2);
    again.at(50).execute(1, asked);
    assert!(!again.is_master());
    assert_eq!(again.holder(), None);
    let asked = again.tick(LEADER).unwrap();
    again.at(60).execute(2, asked);
    assert!(again.is_master());
}

#[test]
fn whoever_forgot_when_it_asked_is_no_master() {
    let mut one = node(1, 1);
    let first = one.tick(LEADER).unwrap();
    for n in 1..=8 {
        one.at(n * 1000).give_up();
        assert!(one.tick(LEADER).is_some());
    }
    one.at(8300).execute(1, first);
    assert!(!one.is_master());
}

#[test]
fn a_release_ends_the_lease_here_before_anybody_hears_of_it() {
    let (mut one, mut two) = (node(1, 1), node(2, 1));
    let asked = one.tick(LEADER).unwrap();
    one.at(10).execute(1, asked);
    two.at(10).execute(1, asked);
    let released = one.at(100).ask(MasterAsk::Release).unwrap();
    assert!(!one.is_master());
    two.at(120).execute(2, released);
    assert_eq!(two.holder(), None);
    assert!(two.at(400).tick(LEADER).is_some(), "at once, but for who leads");
    one.at(120).execute(2, released);
    assert!(one.at(2099).tick(LEADER).is_none(), "it leaves two leases to others");
    assert!(one.at(2200).tick(LEADER).is_some());
}

#[test]
fn only_the_holder_releases() {
    let (mut one, mut two) = (node(1, 1), node(2, 1));
    let asked = one.tick(LEADER).unwrap();
    one.at(10).execute(1, asked);
    let key = CommandKey { origin: member(2).incarnation, boot: 1, seq: 1 };
    let order = Order::Release { expected: Instance(1) };
    one.execute(2, Chosen { by: member(2), key, order });
    assert!(one.is_master());
    assert!(two.ask(MasterAsk::Release).is_none());
}

#[test]
fn nobody_asks_who_does_not_campaign_or_without_a_leader() {
    let mut one = node(1, 1);
    assert!(one.tick(Ballot::ZERO).is_none());
    assert_eq!(one.steward.deadline(Ballot::ZERO, &one.kit.env), Time::MAX);
    one.ask(MasterAsk::Campaign(false));
    assert!(one.tick(LEADER).is_none());
    assert_eq!(one.steward.deadline(LEADER, &one.kit.env), Time::MAX);
    one.ask(MasterAsk::Campaign(true));
    assert!(one.tick(LEADER).is_some());
}

#[test]
fn a_change_is_told() {
    let mut one = node(1, 1);
    let asked = one.tick(LEADER).unwrap();
    one.execute(4, asked);
    assert_eq!(one.kit.events(), [Event::Master(Some(member(1)), Instance(4))]);
}

/// One thing that happens: a node wakes up, executes what is in the log, or something it asked long
/// ago is chosen; so much later than the last one.
#[derive(Clone, Debug)]
enum Happens {
    Tick(usize),
    Executes(usize),
    IsChosen(usize),
    Restarts(usize),
    Releases(usize),
}

fn happens() -> impl Strategy<Value = Vec<(u64, Happens)>> {
    let node = 0..3_usize;
    let what = prop_oneof![
        6 => node.clone().prop_map(Happens::Tick),
        6 => node.clone().prop_map(Happens::Executes),
        6 => (0..20_usize).prop_map(Happens::IsChosen),
        1 => node.clone().prop_map(Happens::Restarts),
        1 => node.prop_map(Happens::Releases),
    ];
    let wait = prop_oneof![4 => 0..4_u64, 1 => 0..400_u64];
    prop::collection::vec((wait, what), 1..500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn at_no_instant_of_true_time_are_there_two_masters(
        happens in happens(),
        rates in prop::array::uniform3(990_000..=1_010_000_u64),
    ) {
        let mut nodes = [node(1, 1), node(2, 1), node(3, 1)];
        let mut boots = [1; 3];
        let (mut log, mut open): (Vec<Chosen>, Vec<Chosen>) = Default::default();
        let mut now = 0;
        for (wait, what) in happens {
            // Every instant in between counts: nobody changes its mind but by the clock.
            for _ in 0..wait {
                now += 1;
                for (node, rate) in nodes.iter_mut().zip(rates) {
                    node.kit.env.now = Time::from_nanos(now * rate);
                }
                let masters = nodes.iter().filter(|node| node.is_master()).count();
                prop_assert!(masters <= 1, "{} masters at {} ms", masters, now);
            }
            match what {
                Happens::Tick(n) => {
                    let leads = ballot(1, u64::try_from(n).unwrap() + 1); // so it does not hold back
                    open.extend(nodes[n].tick(leads));
                }
                Happens::Releases(n) => open.extend(nodes[n].ask(MasterAsk::Release)),
                Happens::IsChosen(n) if !open.is_empty() => log.push(open.remove(n % open.len())),
                Happens::IsChosen(_) => {}
                Happens::Executes(n) => {
                    while let Some(chosen) = log.get(nodes[n].executed) {
                        nodes[n].executed += 1;
                        let instance = u64::try_from(nodes[n].executed).unwrap();
                        nodes[n].execute(instance, *chosen);
                    }
                }
                Happens::Restarts(n) => {
                    boots[n] += 1;
                    let time = nodes[n].kit.env.now;
                    nodes[n] = node(u64::try_from(n).unwrap() + 1, boots[n]);
                    nodes[n].kit.env.now = time;
                }
            }
        }
    }
}
