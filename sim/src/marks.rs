//! Which rare situations a run came by: the marks of the core, the log and the simulator itself.
//!
//! A run that breaks no rule shows nothing about a situation that it never got into. So each mark
//! has a budget of seeds within which it must be met ([`Reach`]), and [`overdue`] names those that
//! were not: the workload or the faults have a gap there, or the code can no longer get there.

mod reach;

use std::fmt;

use synod_core::marks::Mark;

pub use reach::Reach;

synod_core::marks! {
    CLONE_SEEN = "a hello shows that two processes speak for one start of a directory";
    CRASH_BETWEEN_SYNC_AND_WORD = "a node crashes when a batch is durable and nobody was told";
    CRASH_BETWEEN_WRITE_AND_SYNC = "a node crashes when a batch is written and not synced";
    CRASH_RIGHT_AFTER_WORD = "a node crashes right after a sync let messages go";
    CRASH_WHILE_STARTING = "a node stops while it recovers";
    ENTERED_BY_TIMEOUT = "groups start although no quorum has answered the hellos";
    LEADER_CRASHED_WITH_OPEN_WINDOW = "a leader crashes with proposals under way";
    POWER_LOST_SOON_AFTER_KILL = "power fails on what a killed process left in the page cache";
    START_PUT_OFF_DISK_FULL = "a node does not start, since its disk is full";
    REFUSED_BEFORE_ENTRY = "a process is refused before its groups run, and takes new incarnations";
    REFUSED_WHILE_RUNNING = "a process is refused while its groups run, and ends";
    STARTED_FROM_CACHE = "a node recovers what may be in the page cache only";
}

/// A mark, and what is expected of it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Whose it is: `core`, `log` or `sim`.
    pub part: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// What happened there.
    pub about: &'static str,
    /// How often this process met it.
    pub hits: u64,
    /// How soon it must be met.
    pub reach: Reach,
}

/// Every mark there is, with what this process has met so far, in the order they are declared.
#[must_use]
pub fn table() -> Vec<Row> {
    let parts: [(&str, &[&Mark]); 3] =
        [("core", synod_core::marks::ALL), ("log", synod::marks::ALL), ("sim", ALL)];
    let row = |part, mark: &Mark| {
        let (name, about, hits) = (mark.name(), mark.about(), mark.hits());
        Row { part, name, about, hits, reach: Reach::of(name) }
    };
    let rows = parts.into_iter().flat_map(|(part, marks)| marks.iter().map(move |m| row(part, m)));
    rows.collect()
}

/// The marks that were not met although so many seeds have run.
#[must_use]
pub fn overdue(table: &[Row], seeds: u64) -> Vec<Row> {
    table.iter().filter(|row| row.hits == 0 && row.reach.is_due(seeds)).copied().collect()
}

/// A table for people: what is overdue, what is not met yet, what is met.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The marks.
    pub rows: &'a [Row],
    /// How many seeds were run.
    pub seeds: u64,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = self.rows.iter().filter(|row| row.hits > 0);
        let overdue = overdue(self.rows, self.seeds);
        writeln!(f, "marks: {} of {} met", met.clone().count(), self.rows.len())?;
        if !overdue.is_empty() {
            writeln!(f, "  NEVER MET, though {} seeds should do:", self.seeds)?;
        }
        for row in &overdue {
            writeln!(f, "    {:<4}  {:<32}  {}", row.part, row.name, row.about)?;
        }
        let waiting = self.rows.iter().filter(|row| row.hits == 0 && !row.reach.is_due(self.seeds));
        for (n, row) in waiting.enumerate() {
            if n == 0 {
                writeln!(f, "  not met, nor expected:")?;
            }
            writeln!(f, "    {:<4}  {:<32}  {}", row.part, row.name, row.reach)?;
        }
        for (n, row) in met.enumerate() {
            if n == 0 {
                writeln!(f, "  met:")?;
            }
            let Row { part, name, about, hits, reach: _ } = row;
            writeln!(f, "    {part:<4}  {name:<32}  {hits:>10}  {about}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_expectation_is_of_a_mark() {
        let table = table();
        let names: BTreeSet<&str> = table.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), table.len());
        for name in reach::names() {
            assert!(names.contains(name), "{name} is expected and does not exist");
        }
        let expected: BTreeSet<&str> = reach::names().collect();
        assert_eq!(expected.len(), reach::names().count(), "a mark is listed twice");
    }

    #[test]
    fn what_was_not_met_in_time_is_overdue_and_shown_first() {
        let row = |name, hits, reach| Row { part: "core", name, about: "about", hits, reach };
        let rows = [
            row("MET", 3, Reach::Within(10)),
            row("DUE", 0, Reach::Within(10)),
            row("LATER", 0, Reach::Within(11)),
            row("ELSEWHERE", 0, Reach::Elsewhere("a reason")),
        ];
        let names: Vec<&str> = overdue(&rows, 10).iter().map(|row| row.name).collect();
        assert_eq!(names, ["DUE"]);
        assert!(overdue(&rows, 9).is_empty());
        let shown = Table { rows: &rows, seeds: 10 }.to_string();
        let at = |word: &str| shown.find(word).expect("shown");
        assert!(at("NEVER MET") < at("DUE") && at("DUE") < at("LATER"), "{shown}");
        assert!(at("a reason") < at("about\n") || at("ELSEWHERE") < at(" MET "), "{shown}");
    }
}
