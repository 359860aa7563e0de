//! A run as JSON: a head, a table of texts, and a row of numbers for each step.
//!
//! Rows are short because most numbers are small: times are differences, texts are places in the
//! table. A row is `[nanoseconds since the last one, node, group, code, text, …]`, where node and
//! group are −1 for none, and what follows depends on the code (see [`Table::row`]).

use std::collections::HashMap;

use serde::Serialize;
use synod_core::{Ballot, Instance, Time};

use super::place::Spot;
use super::rules::in_words;
use crate::plan::Plan;
use crate::run::Watched;
use crate::trace::{Held, Role, Sent, Step, What};

/// Everything that a page shows.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub(super) head: Head,
    pub(super) texts: Vec<String>,
    pub(super) rows: Vec<Vec<i64>>,
}

/// What stands above the picture.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    pub(super) name: String,
    pub(super) plan: String,
    pub(super) command: String,
    pub(super) nodes: usize,
    pub(super) groups: usize,
    pub(super) hash: String,
    pub(super) events: u64,
    /// How long the run took in its own time, in nanoseconds.
    pub(super) end: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broken: Option<Broken>,
}

/// The rule that was broken.
#[derive(Debug, Serialize)]
pub(super) struct Broken {
    pub(super) rule: String,
    pub(super) words: String,
    pub(super) what: String,
    pub(super) spot: Spot,
}

impl Data {
    /// Everything about a run.
    pub(super) fn of(plan: &Plan, watched: &Watched, command: &str) -> Self {
        let mut table = Table::default();
        let mut last = Time::ZERO;
        let mut rows = Vec::with_capacity(watched.steps.len());
        for step in &watched.steps {
            rows.push(table.row(step, last));
            last = step.at;
        }
        let broken = watched.broken.as_ref().map(|violation| {
            let mut spot = Spot::named(&violation.what);
            // It broke in the last event, so if nothing else is known, that is where.
            let at = watched.steps.iter().rev().find(|step| step.node.is_some());
            spot.node = spot.node.or_else(|| at?.node);
            spot.group = spot.group.or_else(|| at?.note.group);
            let (rule, words) = (violation.rule.to_owned(), in_words(violation.rule).to_owned());
            Broken { rule, words, what: violation.what.clone(), spot }
        });
        let head = Head {
            name: plan.name(),
            plan: plan.to_string(),
            command: command.to_owned(),
            nodes: plan.nodes,
            groups: plan.groups,
            hash: format!("{:016x}", watched.hash),
            events: watched.stats.events,
            end: u64::try_from(watched.stats.simulated.as_nanos()).unwrap_or(u64::MAX),
            broken,
        };
        Self { head, texts: table.texts, rows }
    }
}

/// The table of texts.
#[derive(Debug, Default)]
struct Table {
    texts: Vec<String>,
    places: HashMap<String, i64>,
}

impl Table {
    /// The place of a text in the table.
    fn text(&mut self, text: &str) -> i64 {
        if let Some(&place) = self.places.get(text) {
            return place;
        }
        let place = number(self.texts.len());
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    fn ballot(&mut self, ballot: Ballot) -> i64 {
        if ballot == Ballot::ZERO { NONE } else { self.text(&ballot.to_string()) }
    }

    fn row(&mut self, step: &Step, last: Time) -> Vec<i64> {
        let Step { at, node, note } = step;
        let mut rest = Vec::new();
        let code = match &note.what {
            What::Note => 0,
            What::Started => 1,
            What::Crashed => 2,
            What::Paused => 3,
            What::Resumed => 4,
            What::Recovered { chosen, held } => {
                rest.push(instance(*chosen));
                held.iter().for_each(|held| self.held(held, &mut rest));
                5
            }
            What::Role(role, ballot) => {
                let role = match role {
                    Role::Follower => 0,
                    Role::Canvassing => 1,
                    Role::Candidate => 2,
                    Role::Leader => 3,
                };
                rest.extend([role, self.ballot(*ballot)]);
                6
            }
            What::Knows(upto) => {
                rest.push(instance(*upto));
                7
            }
            What::Wrote(held) => {
                held.iter().for_each(|held| self.held(held, &mut rest));
                8
            }
            What::Synced(all) => {
                for (group, held) in all {
                    rest.push(number(*group));
                    self.held(held, &mut rest);
                }
                9
            }
            What::Told => 10,
            What::Sent(sent) => {
                self.sent(sent, *at, &mut rest);
                11
            }
            What::Heard(id) => {
                rest.push(number(*id));
                12
            }
            What::Cut(id) => {
                rest.push(number(*id));
                13
            }
            What::Chosen(at) => {
                rest.push(instance(*at));
                14
            }
            What::Executed(upto) => {
                rest.push(instance(*upto));
                15
            }
            What::Asked(id) => {
                rest.push(number(id.0));
                16
            }
            What::Answered(id, how) => {
                rest.extend([number(id.0), self.text(how)]);
                17
            }
            What::Fault { n, has_struck, links } => {
                rest.extend([number(*n), i64::from(*has_struck)]);
                rest.extend(links.iter().flat_map(|&(from, to)| [number(from), number(to)]));
                18
            }
            What::Passed(n) => {
                rest.push(number(*n));
                19
            }
            What::Mended => 20,
        };
        // What was heard is what was said.
        let is_heard = matches!(note.what, What::Heard(_));
        let text = if is_heard { NONE } else { self.text(note.text.trim()) };
        let place = |index: Option<usize>| index.map_or(NONE, number);
        let since = number(at.since(last).as_nanos());
        let mut row = vec![since, place(*node), place(note.group), code, text];
        row.append(&mut rest);
        row
    }

    /// Instance, ballot, value.
    fn held(&mut self, held: &Held, row: &mut Vec<i64>) {
        row.extend([instance(held.instance), self.ballot(held.ballot), self.text(&held.value)]);
    }

    /// Number, receiver, kind, ballot, first and last instance, nanoseconds to each arrival.
    fn sent(&mut self, sent: &Sent, at: Time, row: &mut Vec<i64>) {
        let Sent { id, to, facts, arrivals } = sent;
        let ballot = facts.ballot.map_or(NONE, |ballot| self.ballot(ballot));
        let (first, last) =
            facts.instances.map_or((NONE, NONE), |(first, last)| (instance(first), instance(last)));
        row.extend([number(*id), number(*to), self.text(facts.kind), ballot, first, last]);
        row.extend(arrivals.iter().map(|arrival| number(arrival.since(at).as_nanos())));
    }
}

fn instance(instance: Instance) -> i64 {
    if instance == Instance::MAX { NONE } else { number(instance.0) }
}

/// A number that a script can count with.
fn number<N: TryInto<i64>>(n: N) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}

/// Stands for what there is none of.
const NONE: i64 = -1;
