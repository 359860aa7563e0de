//! Every state that three nodes of the real core can get into, within bounds: messages are lost,
//! doubled and reordered, nodes run for leader against each other, or one runs and one crashes and loses
//! what it had not synced. Agreement and the invariants I1 to I5 hold in all of them.
//!
//! `cargo test` explores small spaces. A larger one, with the figures:
//!
//! ```console
//! $ cargo test --profile sim -p synod-tests --test explore -- --ignored --nocapture
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

mod bugs;
mod disk;
mod node;
mod rules;
mod space;

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use bugs::Bug;
use rules::Rule;
use space::{Bounds, MOST, Space};

const SMALL: Bounds = Bounds {
    instances: 2,
    runs: [1, 1, 0],
    crash: false,
    learns: false,
    bug: Bug::None,
    until: None,
};

/// Explores everything within bounds; no rule may break.
fn explore(bounds: Bounds) -> usize {
    let began = Instant::now();
    let checker = Space::new(bounds).checker().threads(2).spawn_bfs().join();
    let (nodes, messages) = checker.model().parts();
    let states = checker.unique_state_count();
    println!(
        "{bounds:?}: {states} states, {} steps, depth {}, {nodes} states of nodes, {messages} \
         messages, {:.1?}",
        checker.state_count(),
        checker.max_depth(),
        began.elapsed()
    );
    for (rule, path) in checker.discoveries() {
        if rule != MOST {
            let actions = path.into_actions();
            let lines: Vec<String> =
                actions.iter().map(|action| checker.model().format_action(action)).collect();
            panic!("{rule} is broken after\n{}", lines.join("\n"));
        }
    }
    checker.assert_any_discovery(MOST);
    states
}

#[test]
fn no_rule_breaks_while_two_run_for_leader() {
    explore(SMALL);
    explore(Bounds { learns: true, ..SMALL });
}

#[test]
fn no_rule_breaks_while_one_runs_and_any_crashes() {
    explore(Bounds { runs: [1, 0, 0], crash: true, ..SMALL });
}

#[test]
#[ignore = "for minutes"]
fn no_rule_breaks_while_all_run_for_leader() {
    explore(Bounds { runs: [1, 1, 1], ..SMALL });
}

fn finds(bounds: Bounds, rule: Rule) {
    let began = Instant::now();
    let until = HasDiscoveries::AnyOf([rule.name()].into());
    let checker = Space::new(bounds).checker().threads(2).finish_when(until).spawn_bfs().join();
    let path = checker.discovery(rule.name());
    let steps = path.unwrap_or_else(|| panic!("{rule:?} holds in {bounds:?}")).into_actions();
    println!(
        "{:?} breaks {}: {} steps, {} states, {:.1?}",
        bounds.bug,
        rule.name(),
        steps.len(),
        checker.unique_state_count(),
        began.elapsed()
    );
    for step in steps {
        println!("    {}", checker.model().format_action(&step));
    }
}

#[test]
fn every_rule_can_break() {
    let crash = Bounds { crash: true, ..SMALL };
    for (bug, rule, bounds) in [
        (Bug::SyncClaimed, Rule::Agreement, crash),
        (Bug::SyncClaimed, Rule::I1, SMALL),
        (Bug::PromiseReadFromVotes, Rule::I2, crash),
        (Bug::OwnBallotForgotten, Rule::I3, Bounds { runs: [2, 0, 0], ..crash }),
        (Bug::VoteCountedTwice, Rule::I4, crash),
        (Bug::WordTakenForAnyBallot, Rule::I5, SMALL),
    ] {
        finds(Bounds { bug, until: Some(rule), ..bounds }, rule);
    }
}
