//! What the groups of a process say of themselves, held against the rules.

use synod_core::Event;

use super::Machine;
use crate::checkers::{Place, Violation};
use crate::env::Env;

/// A group tells of something.
pub(super) fn seen(place: Place, event: &Event, machine: &Machine, env: &mut Env) {
    match *event {
        Event::Leading(ballot) => {
            env.stats.elections += 1;
            let verdict = env.checkers.leases.leads(place, ballot, env.now);
            env.checkers.note(verdict);
        }
        // A lone node has nobody to ask, and refuses: see the atlas.
        Event::Failed(why, _) if machine.memory.is_harmed() && why.starts_with("the disk lost") => {
        }
        Event::Failed(why, at) => {
            let what = format!("{place} stops at {at}: {why}");
            env.checkers.note(Err(Violation::new("failed", what)));
        }
        Event::Chosen(upto) => {
            let verdict = env.checkers.choices.known(place, upto);
            env.checkers.note(verdict);
        }
        Event::Canvassing(_) => {
            // Its patience runs by its own clock.
            env.checkers.canvassed(place, machine.clock.local(env.now));
        }
        Event::ValuesLost(first, last) => {
            env.stats.lost_at_work += last.above(first) + 1;
            if !machine.memory.is_harmed() {
                let what = format!("{place} lost {first}..{last} of a whole disk");
                env.checkers.note(Err(Violation::new("damage", what)));
            }
        }
        Event::Preparing(_) => env.checkers.ran(place),
        Event::DigestsDiffer(other, at) => {
            let what = format!("{place} has another digest at {at} than {other}");
            env.checkers.note(Err(Violation::new("digests", what)));
        }
        Event::Diverged(at) => {
            let what = format!("{place} is alone with its state at {at}");
            env.checkers.note(Err(Violation::new("digests", what)));
        }
        Event::MembershipChanged(version) => {
            env.checkers.completed(place, version);
        }
        Event::SteppedDown(..)
        | Event::Following(_)
        | Event::MembershipChosen(_)
        | Event::Removed(_)
        | Event::PeerLearns(_)
        | Event::Master(..)
        | Event::Checkpointed(_)
        | Event::Cleaned(_)
        | Event::Installed(_)
        | Event::InstallRefused(_) => {}
    }
}
