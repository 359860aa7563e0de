//! A user's state machines: outputs, answers and states are those of the log.
//!
//! What is right nobody here can know, but a model can: one more machine of the same kind, or a
//! simpler one that the user wrote, which lives through no crash and executes nothing but the chosen
//! log. An output at a position must be the model's there. An answer to a query must be what the
//! model says at the position that the answer was read at; with [`order`](super::order), which holds
//! that position against everything that was answered before, that makes reads linearizable. Without
//! a model, the first node to get there is right.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use synod_core::{Instance, Position, SmId};

use super::choices::Choices;
use super::reference::Given;
use super::{Place, Verdict, Violation};
use crate::guests::{self, State, Tenant};

/// What is right, for each group.
#[derive(Debug, Default)]
pub struct Guests {
    guests: guests::Guests,
    groups: BTreeMap<usize, Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// Executes the log as soon as any node does.
    model: Model,
    /// Follow each node's machines, to know what these should answer.
    readers: BTreeMap<usize, Model>,
    /// The right output at each position.
    outputs: BTreeMap<Position, Bytes>,
    /// Who was the first to execute something there, and what came of it.
    first: BTreeMap<Position, (usize, Bytes)>,
    /// The right state after each instance that changed it.
    states: BTreeMap<(SmId, Instance), Box<dyn State>>,
    /// Who was the first to get past an instance.
    past: BTreeMap<(SmId, Instance), usize>,
}

/// Machines that execute the log and nothing else.
#[derive(Debug, Default)]
struct Model {
    machines: Option<Vec<Tenant>>,
    /// How many commands they have executed.
    done: usize,
}

impl Model {
    fn start(&mut self, guests: &guests::Guests) -> &mut [Tenant] {
        self.machines.get_or_insert_with(|| guests.models())
    }

    /// Executes one command, if it is for one of these.
    fn execute(&mut self, given: &Given) -> Option<Bytes> {
        self.done += 1;
        let machines = self.machines.iter_mut().flatten();
        let tenant = machines.into_iter().find(|tenant| tenant.machine.id() == given.sm)?;
        Some(tenant.machine.apply(given.at, given.command.clone()))
    }
}

impl Guests {
    /// Rules for the machines of this guest.
    #[must_use]
    pub fn of(guests: guests::Guests) -> Self {
        Self { guests, groups: BTreeMap::new() }
    }

    /// A node's machine gave this output to the command that stands last in `log`, or before.
    ///
    /// # Errors
    ///
    /// If it should be another one.
    pub fn executed(
        &mut self,
        log: &[Given],
        place: Place,
        at: Position,
        output: &Bytes,
    ) -> Verdict {
        let group = self.catch_up(log, place.group);
        let right = group.outputs.entry(at).or_insert_with(|| output.clone());
        let (first, had) = group.first.entry(at).or_insert_with(|| (place.node, output.clone()));
        if right == output {
            return Ok(());
        }
        let given = log.binary_search_by_key(&at, |given| given.at).ok().map(|n| &log[n]);
        let sm = given.map_or(SmId(0), |given| given.sm);
        let mut what = format!("machine {} of {place}, another output at {at}", sm.0);
        let mut row = |name: &str, it: &dyn std::fmt::Debug| row(&mut what, name, it);
        if let Some(given) = given {
            row("command", &given.command);
        }
        row(&format!("n{}", place.node + 1), output);
        let again = if *first == place.node { " earlier" } else { "" };
        if *first != place.node || had != output {
            row(&format!("n{}{again}", *first + 1), had);
        }
        if !group.model.is_empty() {
            row("replay", right);
        }
        Err(Violation::new("outputs", what))
    }

    /// A node's machine has this state after everything up to `instance`, and nothing above.
    ///
    /// # Errors
    ///
    /// If it should be another one.
    pub fn through(
        &mut self,
        log: &[Given],
        place: Place,
        sm: SmId,
        at: Instance,
        state: Box<dyn State>,
    ) -> Verdict {
        let group = self.catch_up(log, place.group);
        let first = *group.past.entry((sm, at)).or_insert(place.node);
        let is_model = group.states.contains_key(&(sm, Instance::ZERO));
        let key = (sm, if is_model { Instance::ZERO } else { at });
        let Some((_, right)) = group.states.range(key..=(sm, at)).next_back() else {
            group.states.insert((sm, at), state);
            return Ok(());
        };
        if right.is_same(&*state) {
            return Ok(());
        }
        let mut what = format!("machine {} of {place}, another state after instance {at}", sm.0);
        let mut row = |name: &str, it: &dyn std::fmt::Debug| row(&mut what, name, it);
        let last = log.iter().rfind(|given| given.sm == sm && given.at.instance <= at);
        if let Some(last) = last {
            row("last command", &last.command);
        }
        row(&format!("n{}", place.node + 1), &state);
        if is_model {
            row("replay", right);
        } else {
            row(&format!("n{}", first + 1), right);
        }
        Err(Violation::new("states", what))
    }

    /// A node's machine, which has executed everything up to `at`, answers a query.
    ///
    /// # Errors
    ///
    /// If it should be another answer.
    pub fn answered(
        &mut self,
        log: &[Given],
        place: Place,
        sm: SmId,
        query: &Bytes,
        at: Position,
        answer: &Bytes,
    ) -> Verdict {
        let group = self.groups.entry(place.group).or_default();
        let reader = group.readers.entry(place.node).or_default();
        if reader.done.checked_sub(1).is_some_and(|last| log[last].at > at) {
            // The node has lost what it had executed.
            *reader = Model::default();
        }
        reader.start(&self.guests);
        while let Some(given) = log.get(reader.done).filter(|given| given.at <= at) {
            reader.execute(given);
        }
        let mut machines = reader.machines.iter().flatten();
        let Some(model) = machines.find(|model| model.machine.id() == sm) else { return Ok(()) };
        let right = model.machine.read(query.clone());
        if right == answer {
            return Ok(());
        }
        let mut what = format!("machine {} of {place}, another answer at {at}", sm.0);
        row(&mut what, "query", query);
        row(&mut what, &format!("n{}", place.node + 1), answer);
        row(&mut what, "replay", &right);
        Err(Violation::new("reads", what))
    }

    /// Lets the model execute what it has not.
    fn catch_up(&mut self, log: &[Given], group: usize) -> &mut Group {
        let group = self.groups.entry(group).or_default();
        if group.model.machines.is_none() {
            for tenant in group.model.start(&self.guests) {
                if let Some(state) = tenant.window.state() {
                    group.states.insert((tenant.machine.id(), Instance::ZERO), state);
                }
            }
        }
        while let Some(given) = log.get(group.model.done) {
            if let Some(output) = group.model.execute(given) {
                group.outputs.insert(given.at, output);
            }
            let next = log.get(group.model.done);
            if next.is_none_or(|next| next.at.instance > given.at.instance) {
                for tenant in group.model.machines.iter().flatten() {
                    if let Some(state) = tenant.window.state() {
                        group.states.insert((tenant.machine.id(), given.at.instance), state);
                    }
                }
            }
        }
        group
    }
}

impl Model {
    fn is_empty(&self) -> bool {
        self.machines.as_ref().is_none_or(Vec::is_empty)
    }
}

/// A line of an explanation.
fn row(what: &mut String, name: &str, it: &dyn std::fmt::Debug) {
    let text: String = format!("{it:?}").chars().take(WIDTH_MAX).collect();
    write!(what, "\n  {name:<14} {text}").expect("writing to a string does not fail");
}

/// More than this of a command or state is not shown.
const WIDTH_MAX: usize = 400;

/// A client hears that a command was executed at a position.
///
/// # Errors
///
/// If that command is not chosen there.
pub fn committed(
    choices: &Choices,
    group: usize,
    sm: SmId,
    command: &[u8],
    at: Position,
) -> Verdict {
    let chosen = choices.command(group, at);
    if chosen.as_ref().is_some_and(|chosen| chosen.sm == sm && chosen.payload == command) {
        return Ok(());
    }
    let what = format!(
        "{command:?} for machine {} of group {group} was acknowledged at {at}; chosen there is \
         {chosen:?}",
        sm.0
    );
    Err(Violation::new("acknowledged", what))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, ballot, choices, member, op, place, value};
    use super::*;
    use crate::clients::Ask;
    use crate::guests::{Guest, Home, Looks};
    use crate::kv::STORE;
    use crate::rng::Rng;
    use std::sync::Arc;
    use synod::StateMachine;

    struct Log(Vec<u8>);

    impl StateMachine for Log {
        fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
            self.0.extend(&command);
            self.read(Bytes::new())
        }

        fn read(&self, _query: Bytes) -> Bytes {
            self.0.clone().into()
        }
    }

    struct Logs;

    impl Guest for Logs {
        fn machines(&self, _home: &Home) -> Vec<Tenant> {
            self.models()
        }

        fn models(&self) -> Vec<Tenant> {
            let state = |log: &Log| -> Box<dyn State> { Box::new(log.0.clone()) };
            let looks = Looks { state: Some(Box::new(state)), ..Looks::default() };
            vec![Tenant::new(Log(Vec::new()), &Arc::new(looks))]
        }

        fn ask(&self, _rng: &mut Rng) -> Ask {
            Ask::Query(SmId(0), Bytes::new())
        }
    }

    fn modelled() -> Guests {
        Guests::of(guests::Guests::new(Logs))
    }

    fn log() -> [Given; 3] {
        let given = |instance, index, command: &'static str| Given {
            at: at(instance, index),
            sm: SmId(0),
            command: Bytes::from_static(command.as_bytes()),
        };
        [given(1, 0, "a"), given(1, 1, "b"), given(3, 0, "c")]
    }

    const fn text(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    fn held(state: &str) -> Box<dyn State> {
        Box::new(state.as_bytes().to_vec())
    }

    #[test]
    fn an_output_that_is_not_the_models_is_found_and_told() {
        let (mut guests, log) = (modelled(), log());
        assert_eq!(guests.executed(&log[..2], place(0), at(1, 0), &text("a")), Ok(()));
        assert_eq!(guests.executed(&log, place(0), at(3, 0), &text("abc")), Ok(()));
        let broken = guests.executed(&log, place(1), at(3, 0), &text("acc")).unwrap_err();
        assert_eq!(broken.rule, "outputs");
        for part in ["machine 0 of n2 in group 0", "command", "b\"c\"", "b\"acc\"", "replay"] {
            assert!(broken.what.contains(part), "{part}: {}", broken.what);
        }
        assert!(broken.what.contains("n1 "), "{}", broken.what);
    }

    #[test]
    fn a_state_that_is_not_the_models_is_found_also_between_its_commands() {
        let (mut guests, log) = (modelled(), log());
        let through = |guests: &mut Guests, n, state| {
            guests.through(&log, place(0), SmId(0), Instance(n), held(state))
        };
        for (instance, state) in [(1, "ab"), (2, "ab"), (3, "abc"), (9, "abc")] {
            assert_eq!(through(&mut guests, instance, state), Ok(()));
        }
        let broken = through(&mut guests, 2, "a").unwrap_err();
        assert_eq!(broken.rule, "states");
        assert!(through(&mut guests, 3, "ab").is_err());
    }

    #[test]
    fn an_answer_is_what_the_model_says_there_also_after_a_node_fell_back() {
        let (mut guests, log) = (modelled(), log());
        let mut answered =
            |at, answer| guests.answered(&log, place(0), SmId(0), &Bytes::new(), at, &text(answer));
        assert_eq!(answered(at(3, u32::MAX), "abc"), Ok(()));
        assert_eq!(answered(at(1, 0), "a"), Ok(()));
        assert_eq!(answered(at(2, u32::MAX), "ab"), Ok(()));
        assert_eq!(answered(at(3, 0), "ab").unwrap_err().rule, "reads");
    }

    #[test]
    fn without_a_model_the_first_is_right() {
        let mut guests = Guests::default();
        assert_eq!(guests.executed(&[], place(0), at(1, 0), &text("7")), Ok(()));
        assert_eq!(guests.executed(&[], place(1), at(1, 0), &text("7")), Ok(()));
        assert!(guests.executed(&[], place(2), at(1, 0), &text("8")).is_err());
        let mut through =
            |node, sm, state| guests.through(&[], place(node), SmId(sm), Instance(1), held(state));
        assert_eq!(through(0, 1, "7"), Ok(()));
        assert_eq!(through(1, 2, "8"), Ok(()), "another machine");
        assert!(through(1, 1, "8").is_err());
    }

    #[test]
    fn an_acknowledged_command_stands_where_it_was_said() {
        let mut choices = choices(1);
        choices.stored(0, member(0), Instance(1), ballot(1, 1), &value(1)).unwrap();
        let command = op(1).encode(0);
        assert_eq!(committed(&choices, 0, STORE, &command, at(1, 0)), Ok(()));
        assert!(committed(&choices, 0, SmId(0), &command, at(1, 0)).is_err());
        assert!(committed(&choices, 0, STORE, b"other", at(1, 0)).is_err());
        assert!(committed(&choices, 0, STORE, &command, at(2, 0)).is_err());
    }
}
