//! What a campaign did, for people.

use std::fmt;

use synod_sim::campaign::State;
use synod_sim::marks::{Row, Table};
use synod_sim::{Preset, marks};

/// A campaign's figures.
pub(super) struct Summary<'a> {
    /// How far it is.
    pub(super) state: &'a State,
    /// On how many cores.
    pub(super) jobs: usize,
}

impl Summary<'_> {
    /// How often each mark was met, and after how many seeds: budgets are of the default mix.
    fn marks(&self) -> (Vec<Row>, u64) {
        let State { marks, goal, done, .. } = self.state;
        let rows = marks::table().into_iter();
        let rows = rows.map(|row| Row { hits: marks.get(row.name).copied().unwrap_or(0), ..row });
        (rows.collect(), if goal.preset == Preset::Mix { *done } else { 0 })
    }

    /// Whether all marks were met that should be.
    pub(super) fn has_marks(&self) -> bool {
        let (rows, seeds) = self.marks();
        marks::overdue(&rows, seeds).is_empty()
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let State { goal, done, passed, twice, failures, stats, took, .. } = self.state;
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |count: u64| count.saturating_mul(1_000) / millis;
        let jobs = u64::try_from(self.jobs).unwrap_or(1).max(1);
        let simulated = u64::try_from(stats.simulated.as_millis()).unwrap_or(u64::MAX);
        writeln!(
            f,
            "{passed} seeds of {} passed, {} failed, in {took:.1?}",
            goal.preset,
            failures.len()
        )?;
        if goal.shard.of > 1 {
            writeln!(f, "  shard {} of {} seeds from {}", goal.shard, goal.seeds, goal.first)?;
        }
        for (seed, broke) in failures {
            writeln!(f, "  seed {seed} broke {broke}")?;
        }
        let rows = [
            ("seeds run", *done),
            ("seeds per second", rate(*passed)),
            ("  per core", rate(*passed) / jobs),
            ("events per second", rate(stats.events)),
            ("  per core", rate(stats.events) / jobs),
            ("simulated seconds", simulated / 1_000),
            ("  per second", simulated / millis),
            ("  per second and core", simulated / millis / jobs),
            ("run twice, same hash", *twice),
            ("starts of nodes", stats.starts),
            ("elections", stats.elections),
            ("stopped in the middle", stats.stopped),
            ("syncs", stats.syncs),
            ("logs looked after", stats.upkeep),
            ("messages", stats.messages),
            ("  lost", stats.lost),
            ("  doubled", stats.duplicated),
            ("  damaged", stats.damaged),
            ("instances chosen", stats.chosen),
            ("commands executed", stats.executed),
            ("  acknowledged", stats.acknowledged),
            ("  refused", stats.refused),
            ("reads answered", stats.reads),
            ("ends unknown", stats.unknown),
            ("  given up by clients", stats.given_up),
            ("histories searched", stats.searched),
            ("disks read back", stats.read_back),
            ("logs replayed", stats.replayed),
            ("values lost at work", stats.lost_at_work),
            ("new incarnations", stats.reborn),
            ("memberships changed", stats.changed),
        ];
        for (name, count) in rows {
            writeln!(f, "  {name:<21} {count:>12}")?;
        }
        writeln!(f, "election timeouts to recover   p50     p90     p99   p99.9     max")?;
        for (what, times) in &stats.times {
            writeln!(f, "  {what:<17} {:>5} {times}", times.total())?;
        }
        for (excuse, count) in &stats.excused {
            writeln!(f, "  {:<25} {count:>8}", format!("excused: {excuse}"))?;
        }
        writeln!(f, "faults")?;
        writeln!(f, "  {:<25} {:>8}", "not done, by the atlas", stats.spared)?;
        for (kind, count) in &stats.faults {
            writeln!(f, "  {kind:<25} {count:>8}")?;
        }
        let (rows, seeds) = self.marks();
        write!(f, "{}", Table { rows: &rows, seeds })
    }
}
