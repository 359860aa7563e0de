//! Any history of crashes.

use proptest::collection::vec;
use proptest::prelude::*;
use synod::log::{LogError, Maintained, Opened};
use synod_core::{GroupId, Instance, Record};
use synod_sim::disk::SimVfs;

use crate::model::{GROUPS, Models, accepted, agrees, ballot, history, open, value};

/// What a process does with an open log before it dies.
#[derive(Clone, Debug)]
enum Act {
    /// One batch, and its sync.
    Batch(Vec<Draft>),
    Maintain,
}

/// A record before its value is laid out: group, kind, instance, round, length.
type Draft = (bool, u8, u64, u64, usize);

/// How a process, or an attempt to start one, ends.
#[derive(Clone, Copy, Debug)]
struct End {
    /// It stops at this operation, at the latest.
    stop: u64,
    /// One of its syncs fails: this one.
    fail_sync: Option<u64>,
    /// What stops is the machine, not the process alone.
    power: bool,
}

#[derive(Clone, Debug)]
struct Life {
    /// Attempts to open that are cut short.
    attempts: Vec<End>,
    acts: Vec<Act>,
    /// A batch that is written and never synced.
    unsynced: Vec<Draft>,
    end: End,
}

fn draft() -> impl Strategy<Value = Draft> {
    let len = prop_oneof![
        6 => 0..300_usize,
        2 => 3000..9000_usize,
        2 => 9000..40_000_usize,
        1 => 40_000..90_000_usize,
    ];
    (any::<bool>(), 0..13_u8, 1..12_u64, 1..5_u64, len)
}

fn end() -> impl Strategy<Value = End> {
    let fail_sync = prop_oneof![3 => Just(None), 1 => (0..6_u64).prop_map(Some)];
    (prop_oneof![0..40_u64, Just(1000)], fail_sync, any::<bool>())
        .prop_map(|(stop, fail_sync, power)| End { stop, fail_sync, power })
}

fn life() -> impl Strategy<Value = Life> {
    let act = prop_oneof![4 => vec(draft(), 1..5).prop_map(Act::Batch), 1 => Just(Act::Maintain)];
    (vec(end(), 0..3), vec(act, 0..12), vec(draft(), 0..4), end())
        .prop_map(|(attempts, acts, unsynced, end)| Life { attempts, acts, unsynced, end })
}

/// A splitmix64 stream: what survives a power loss.
fn random(seed: &mut u64) -> impl FnMut() -> u64 + '_ {
    move || {
        *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A log under test, with what it must hold.
struct World {
    disk: SimVfs,
    seed: u64,
    seq: u64,
    /// Everything whose sync returned.
    synced: Models,
    /// The batch whose sync did not return.
    maybe: Vec<(GroupId, Record)>,
    boot: u64,
    batch: u64,
    /// Torn batches, and bad places of those that count: so that the test is seen to get there.
    torn: u64,
    mended: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let synced = GROUPS.iter().map(|&(group, _)| (group, Default::default())).collect();
        let disk = SimVfs::new();
        let maybe = Vec::new();
        Self { disk, seed, seq: 0, synced, maybe, boot: 0, batch: 0, torn: 0, mended: 0 }
    }

    fn live(&mut self, life: &Life) -> Result<(), TestCaseError> {
        for attempt in &life.attempts {
            self.arm(*attempt);
            match open(&self.disk) {
                Ok(opened) => self.check(&opened)?,
                Err(synod::log::OpenError::Io { .. }) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            self.die(*attempt);
        }
        let opened = open(&self.disk).map_err(|error| TestCaseError::fail(error.to_string()))?;
        self.check(&opened)?;
        self.arm(life.end);
        if self.run(opened, life).is_err() {
            // What failed was the batch in `maybe`, or nothing that shows.
        }
        self.die(life.end);
        Ok(())
    }

    fn run(&mut self, mut opened: Opened<SimVfs>, life: &Life) -> Result<(), LogError> {
        let log = &mut opened.log;
        for act in &life.acts {
            match act {
                Act::Batch(drafts) => {
                    self.maybe = self.records(drafts);
                    log.append(self.maybe.iter().map(|(group, record)| (*group, record)))?;
                    log.sync()?;
                    self.settle();
                }
                Act::Maintain => while log.maintain()? == Maintained::More {},
            }
            self.batch = log.batch();
        }
        self.maybe = self.records(&life.unsynced);
        log.append(self.maybe.iter().map(|(group, record)| (*group, record)))
    }

    /// Every batch raises a promise, so that it shows whether it came back.
    fn records(&mut self, drafts: &[Draft]) -> Vec<(GroupId, Record)> {
        let mut records: Vec<_> = drafts.iter().map(|draft| self.record(draft)).collect();
        self.seq += 1;
        records.push((GROUPS[0].0, Record::Promised(ballot(self.seq + 100))));
        records
    }

    fn record(&mut self, &(second, kind, instance, round, len): &Draft) -> (GroupId, Record) {
        let group = GROUPS[usize::from(second)].0;
        self.seq += 1;
        let record = match kind {
            0 if len % 7 == 0 => Record::Lease(std::time::Duration::from_millis(round)),
            0 => Record::Promised(ballot(round)),
            1 if len % 2 == 0 => Record::Membership(history(self.seq)),
            1 => Record::Chosen(Instance(instance)),
            2 => Record::Cleaned(Instance(instance / 2)),
            12 => Record::Checkpoint {
                instance: Instance(instance),
                state: self.seq.to_le_bytes().repeat(len / 8).into(),
            },
            3 | 4 => Record::Learned { instance: Instance(instance), value: value(self.seq, len) },
            _ => accepted(instance, round, self.seq, len),
        };
        (group, record)
    }

    fn settle(&mut self) {
        for (group, record) in std::mem::take(&mut self.maybe) {
            self.synced.get_mut(&group).unwrap().apply(&record);
        }
    }

    fn arm(&self, end: End) {
        self.disk.stop_after(end.stop);
        if let Some(syncs) = end.fail_sync {
            self.disk.fail_sync_after(syncs);
        }
    }

    fn die(&mut self, end: End) {
        if end.power {
            self.disk.power_loss(&mut random(&mut self.seed));
        } else {
            self.disk.crash_process();
        }
    }

    /// What was opened is what was synced, with or without the batch whose sync did not return.
    /// From here on that is settled.
    fn check(&mut self, opened: &Opened<SimVfs>) -> Result<(), TestCaseError> {
        prop_assert!(opened.boot > self.boot, "boot {} after {}", opened.boot, self.boot);
        prop_assert!(opened.batch > self.batch, "batch {} after {}", opened.batch, self.batch);
        (self.boot, self.batch) = (opened.boot, opened.batch);
        self.torn += u64::from(opened.report.torn.is_some());
        let mut with = self.synced.clone();
        for (group, record) in &self.maybe {
            with.get_mut(group).unwrap().apply(record);
        }
        prop_assert_eq!(&opened.report.lost, &[]);
        self.mended += opened.report.bad_places;
        self.maybe.clear();
        match (agrees(opened, &with), agrees(opened, &self.synced)) {
            (Ok(()), _) => self.synced = with,
            (Err(_), Ok(())) => {}
            (Err(with), Err(without)) => {
                return Err(TestCaseError::fail(format!("with it: {with}\nwithout: {without}")));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_crashes_give_back_what_was_synced_and_nothing_that_was_not_written(
        seed in any::<u64>(),
        lives in vec(life(), 1..6),
    ) {
        let mut world = World::new(seed);
        for life in &lives {
            world.live(life)?;
        }
        let opened = open(&world.disk).map_err(|error| TestCaseError::fail(error.to_string()))?;
        world.check(&opened)?;
    }
}

/// The crashes above do tear batches, and do spare all but one block of some.
#[test]
fn power_losses_tear_batches_and_now_and_then_spare_all_but_one_block() {
    let (mut torn, mut mended) = (0, 0);
    let end = End { stop: 1000, fail_sync: None, power: true };
    for seed in 0..3000 {
        let mut world = World::new(seed);
        let len = usize::try_from(seed % 4).unwrap() * 3000;
        let unsynced = vec![(false, 9, 1, 1, len), (true, 9, 1, 1, 100)];
        let life = Life { attempts: vec![], acts: vec![], unsynced, end };
        world.live(&life).unwrap();
        let opened = open(&world.disk).unwrap();
        world.check(&opened).unwrap();
        torn += world.torn;
        mended += world.mended;
    }
    assert!(torn > 100, "{torn} torn");
    assert!(mended > 100, "{mended} mended");
}
