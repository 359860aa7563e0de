//! A bank under faults: whatever breaks, transfers keep the total, and audits see it.
//!
//! `cargo run -p synod-sim --profile sim --example bank` runs 200 seeds of everything at once.

use std::collections::BTreeMap;

use bytes::Bytes;
use synod::{Position, StateMachine};
use synod_sim::Preset;
use synod_sim::rng::Rng;
use synod_sim::simulation::{Passed, Simulation, SimulationError, Work};

/// The service: accounts by their numbers.
#[derive(Debug, Default)]
struct Bank {
    accounts: BTreeMap<u64, u64>,
    /// All that was ever paid in.
    deposits: u64,
}

impl Bank {
    fn balance(&self, account: u64) -> u64 {
        self.accounts.get(&account).copied().unwrap_or(0)
    }

    fn total(&self) -> u64 {
        self.accounts.values().sum()
    }

    /// Executes a command and says what came of it. A command that makes no sense changes nothing.
    fn execute(&mut self, command: &str) -> Option<&'static str> {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["deposit", account, amount] => {
                let (account, amount): (u64, u64) = (account.parse().ok()?, amount.parse().ok()?);
                *self.accounts.entry(account).or_default() += amount;
                self.deposits += amount;
                Some("paid in")
            }
            ["transfer", from, to, amount] => {
                let (from, to): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
                let amount: u64 = amount.parse().ok()?;
                let Some(left) = self.balance(from).checked_sub(amount) else {
                    return Some("too poor");
                };
                self.accounts.insert(from, left);
                *self.accounts.entry(to).or_default() += amount;
                Some("transferred")
            }
            _ => None,
        }
    }
}

impl StateMachine for Bank {
    fn apply(&mut self, _at: Position, command: Bytes) -> Bytes {
        let done = str::from_utf8(&command).ok().and_then(|command| self.execute(command));
        done.unwrap_or("not understood").into()
    }

    /// Whatever the question, the answer is an audit: the total, and what it should be.
    fn read(&self, _query: Bytes) -> Bytes {
        format!("{} of {}", self.total(), self.deposits).into()
    }
}

/// What clients ask.
fn workload(rng: &mut Rng) -> Work {
    let (from, to, amount) = (rng.below(5), rng.below(5), rng.below(100));
    match rng.below(10) {
        0..2 => Work::command(format!("deposit {to} {amount}")),
        2..4 => Work::query("audit"),
        _ => Work::command(format!("transfer {from} {to} {amount}")),
    }
}

fn bank(seeds: u64) -> Result<Passed, SimulationError> {
    Simulation::new(Bank::default, workload)
        .preset(Preset::Hell)
        .state(|bank| bank.accounts.clone())
        .always(|bank| assert_eq!(bank.total(), bank.deposits))
        .on_answer(|work, answer| {
            if matches!(work, Work::Query(_)) {
                let audit = str::from_utf8(answer).expect("a text");
                let (total, deposits) = audit.split_once(" of ").expect("two numbers");
                assert_eq!(total, deposits, "an audit sees half a transfer");
            }
        })
        .run(0..seeds)
}

#[expect(clippy::print_stdout, reason = "the program's output")]
fn main() -> Result<(), SimulationError> {
    let Passed { seeds, stats } = bank(200)?;
    println!(
        "{seeds} seeds passed: {} commands acknowledged and {} audits answered, under {} faults",
        stats.acknowledged,
        stats.reads,
        stats.faults.values().sum::<u64>()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use synod_sim::Plan;

    #[test]
    fn the_bank_keeps_its_money() {
        let Passed { stats, .. } = bank(200).unwrap();
        assert!(stats.acknowledged > 2_000, "{stats:?}");
        assert!(stats.reads > 500, "{stats:?}");
    }

    /// Loses what is transferred from an account to itself.
    #[derive(Default)]
    struct Careless(Bank);

    impl StateMachine for Careless {
        fn apply(&mut self, at: Position, command: Bytes) -> Bytes {
            let words: Vec<&[u8]> = command.split(|byte| *byte == b' ').collect();
            if let [b"transfer", from, to, amount] = words[..]
                && from == to
            {
                let amount = str::from_utf8(amount).unwrap().parse().unwrap();
                let account = str::from_utf8(from).unwrap().parse().unwrap();
                let held = self.0.balance(account);
                self.0.accounts.insert(account, held.saturating_sub(amount));
                return "transferred".into();
            }
            self.0.apply(at, command)
        }

        fn read(&self, query: Bytes) -> Bytes {
            self.0.read(query)
        }
    }

    #[test]
    fn a_bank_that_loses_money_is_found_and_the_run_comes_down_to_the_transfer() {
        let failures = std::env::temp_dir().join(format!("synod-bank-{}", std::process::id()));
        let careless = || {
            Simulation::new(Careless::default, workload)
                .always(|bank| assert_eq!(bank.0.total(), bank.0.deposits))
                .failures(&failures)
        };
        let SimulationError::Broken(broken) = careless().run(0..20).unwrap_err() else { panic!() };
        assert_eq!(broken.failure.violation.rule, "invariants");
        let plan: &Plan = &broken.failure.plan;
        assert!(plan.faults.is_empty() && plan.requests.len() <= 4, "{plan}");
        let file = broken.file.as_ref().unwrap();
        let again = careless().replay(file).unwrap_err().to_string();
        assert!(again.contains("invariants") && again.contains("transfer"), "{again}");
        std::fs::remove_dir_all(&failures).unwrap();
    }
}
