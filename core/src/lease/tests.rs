use super::*;
use crate::testing::{Kit, ballot, member};
use proptest::prelude::*;

const LENGTH: Duration = Duration::from_millis(400);
const PPM: u32 = 10_000;
const OLD: Ballot = ballot(1, 1);
const NEW: Ballot = ballot(2, 2);
/// Any node but the one that a [`Kit`] takes itself for.
const LEADER: NodeId = NodeId(7);

fn kit(me: u64) -> Kit {
    let mut kit = Kit::new(3);
    kit.env.me = member(me);
    kit.env.config.clock_rate_bound_ppm = PPM;
    kit.env.config.read_lease = LENGTH;
    kit
}

/// An acceptor of node `me`, as it starts.
fn grants(longest: Duration, now: Time) -> Grants {
    Grants::new(longest, PPM, now)
}

#[test]
fn a_grant_leaves_once_its_length_is_on_disk_and_binds_at_once() {
    let (mut kit, mut grants) = (kit(2), grants(Duration::ZERO, Time::ZERO));
    kit.at(100);
    grants.on_ask(LEADER, OLD, 1, LENGTH, &mut kit.ctx());
    assert_eq!(kit.sent(), []);
    assert!(grants.bind(NEW, &kit.env) && !grants.bind(OLD, &kit.env));
    assert_eq!(kit.sync(), [Record::Lease(LENGTH)]);
    assert_eq!(kit.sent(), [(7, Message::Granted { ballot: OLD, question: 1 })]);
    kit.at(504);
    assert!(grants.bind(NEW, &kit.env));
    kit.at(505);
    assert!(!grants.bind(NEW, &kit.env), "400 ms and one percent more");
    grants.on_ask(LEADER, OLD, 2, LENGTH / 2, &mut kit.ctx());
    assert_eq!(kit.written(), [], "a shorter one is covered");
}

#[test]
fn a_restart_promises_nothing_for_the_longest_lease_it_may_have_granted() {
    let (mut kit, grants) = (kit(2), grants(LENGTH, Time::from_millis(1000)));
    kit.env.config.read_lease = Duration::from_millis(1);
    kit.at(1404);
    assert!(grants.bind(NEW, &kit.env) && grants.bind(OLD, &kit.env));
    kit.at(1405);
    assert!(!grants.bind(NEW, &kit.env));
}

#[test]
fn a_late_release_frees_nobody_of_a_later_lease() {
    let (mut kit, mut grants) = (kit(2), grants(Duration::ZERO, Time::ZERO));
    let later = ballot(3, 1);
    grants.on_ask(LEADER, later, 1, LENGTH, &mut kit.ctx());
    grants.release(OLD, &kit.env);
    assert!(grants.bind(NEW, &kit.env));
    grants.release(later, &kit.env);
    assert!(!grants.bind(NEW, &kit.env));
}

#[test]
fn a_lease_counts_from_the_question_and_needs_a_quorum_of_voters() {
    let (mut kit, mut own) = (kit(1), grants(Duration::ZERO, Time::ZERO));
    let mut tenure = Tenure::default();
    kit.at(100);
    tenure.ask(OLD, &mut own, &mut kit.ctx());
    let length = LENGTH;
    let asked = Message::Lease { ballot: OLD, question: 1, length };
    assert_eq!(kit.sent(), [(2, asked.clone()), (3, asked)]);
    assert!(own.bind(NEW, &kit.env), "its own acceptor is bound as well");
    kit.at(300);
    tenure.on_granted(member(9), 1, &kit.ctx());
    tenure.on_granted(crate::testing::wiped(2), 1, &kit.ctx());
    assert_eq!(tenure.until(), Time::ZERO, "no voters");
    tenure.on_granted(member(2), 7, &kit.ctx());
    assert_eq!(tenure.until(), Time::ZERO, "never asked");
    tenure.on_granted(member(2), 1, &kit.ctx());
    assert!(tenure.until() <= Time::from_millis(496) && tenure.until() > Time::from_millis(495));
}

#[test]
fn nobody_asks_while_its_own_acceptor_is_quiet() {
    let (mut kit, mut own) = (kit(1), grants(LENGTH, Time::ZERO));
    let mut tenure = Tenure::default();
    tenure.ask(OLD, &mut own, &mut kit.ctx());
    assert_eq!(kit.sent(), []);
    kit.at(500);
    tenure.ask(OLD, &mut own, &mut kit.ctx());
    assert_eq!(kit.sent().len(), 2);
}

#[test]
fn alone_a_leader_grants_itself() {
    let mut kit = Kit::new(1);
    kit.env.config.read_lease = LENGTH;
    let mut tenure = Tenure::default();
    tenure.ask(OLD, &mut grants(Duration::ZERO, Time::ZERO), &mut kit.ctx());
    assert!(tenure.until() > Time::ZERO);
}

/// One acceptor with its disk and its clock; the first is the leader's.
struct Node {
    kit: Kit,
    grants: Grants,
    promised: Ballot,
    durable: Duration,
}

impl Node {
    fn sync(&mut self) -> Vec<Message> {
        for record in self.kit.sync() {
            let Record::Lease(length) = record else { panic!("{record:?}") };
            self.durable = self.durable.max(length);
        }
        self.kit.sent().into_iter().map(|(_, message)| message).collect()
    }

    fn hears(&mut self, message: &Message) {
        let Message::Lease { ballot, question, length } = *message else { return };
        if ballot == self.promised {
            self.grants.on_ask(LEADER, ballot, question, length, &mut self.kit.ctx());
        }
    }
}

#[derive(Clone, Debug)]
enum Happens {
    Asks,
    Hears(usize, usize),
    Syncs(usize),
    Answers(usize),
    Promises(usize),
    Restarts(usize),
}

fn happens() -> impl Strategy<Value = Vec<(u64, Happens)>> {
    let node = || 0..3_usize;
    let what = prop_oneof![
        3 => Just(Happens::Asks),
        4 => (node(), 0..6_usize).prop_map(|(node, which)| Happens::Hears(node, which)),
        4 => node().prop_map(Happens::Syncs),
        4 => (0..6_usize).prop_map(Happens::Answers),
        4 => node().prop_map(Happens::Promises),
        1 => (1..3_usize).prop_map(Happens::Restarts),
    ];
    let wait = prop_oneof![4 => 0..4_u64, 2 => 0..60_u64, 1 => 0..450_u64];
    prop::collection::vec((wait, what), 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_quorum_promises_another_ballot_while_a_lease_holds(
        happens in happens(),
        rates in prop::array::uniform3(990_000..=1_010_000_u64),
    ) {
        let mut nodes: Vec<Node> = (1..=3).map(|me| Node {
            kit: kit(me),
            grants: grants(Duration::ZERO, Time::ZERO),
            promised: OLD,
            durable: Duration::ZERO,
        }).collect();
        let mut tenure = Tenure::default();
        let (mut asked, mut answers): (Vec<Message>, Vec<(Member, u64)>) = Default::default();
        let mut now = 0;
        for (wait, what) in happens {
            now += wait;
            for (node, rate) in nodes.iter_mut().zip(rates) {
                node.kit.env.now = Time::from_nanos(now * rate);
            }
            match what {
                Happens::Asks if nodes[0].promised == OLD => {
                    let leader = &mut nodes[0];
                    tenure.ask(OLD, &mut leader.grants, &mut leader.kit.ctx());
                    asked.extend(leader.kit.sent().into_iter().map(|(_, message)| message));
                }
                Happens::Hears(n, which) if n > 0 && !asked.is_empty() => {
                    let which = asked.len() - 1 - which % asked.len();
                    nodes[n].hears(&asked[which]);
                }
                Happens::Syncs(n) if n > 0 => {
                    let from = member(u64::try_from(n).unwrap() + 1);
                    for said in nodes[n].sync() {
                        let Message::Granted { question, .. } = said else { panic!("{said:?}") };
                        answers.push((from, question));
                    }
                }
                Happens::Answers(which) if !answers.is_empty() => {
                    let (from, question) = answers.remove(which % answers.len());
                    if nodes[0].promised == OLD {
                        tenure.on_granted(from, question, &nodes[0].kit.ctx());
                    }
                }
                Happens::Promises(n) if !nodes[n].grants.bind(NEW, &nodes[n].kit.env) => {
                    nodes[n].promised = NEW;
                }
                Happens::Restarts(n) => {
                    let (time, durable) = (nodes[n].kit.env.now, nodes[n].durable);
                    let kit = kit(u64::try_from(n).unwrap() + 1);
                    nodes[n].kit = kit;
                    nodes[n].kit.env.now = time;
                    nodes[n].grants = grants(durable, time);
                }
                Happens::Asks | Happens::Hears(..) | Happens::Syncs(_) | Happens::Answers(_)
                | Happens::Promises(_) => {}
            }
            let others = nodes.iter().filter(|node| node.promised == NEW).count();
            let holds = nodes[0].kit.env.now < tenure.until();
            prop_assert!(others < 2 || !holds, "at {} ms", now);
        }
    }
}
