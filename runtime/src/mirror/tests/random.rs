//! Everything at once, in orders that nobody thought of.

use super::*;

/// Numbers that look random (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Applies, pauses, writes and loads; checks every checkpoint. Says how many were written.
fn run(seed: u64) -> usize {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let config = MirrorConfig {
        commands_max: usize::try_from(random.below(20)).unwrap(),
        bytes_max: if random.below(2) == 0 { 600 } else { 1 << 20 },
        ..MirrorConfig::default()
    };
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), config));
    let copy = both.handle();
    let (mut now, mut written, mut writing) = (0, 0, None);
    for _ in 0..300 {
        match random.below(12) {
            0 => copy.pause_copy(),
            1 => drop(copy.continue_copy()),
            2 => drop(both.checkpoint()),
            3 | 4 => match both.checkpoint() {
                Ok(handle) => {
                    written += finished(seed, &files, writing.take());
                    writing = Some((now, files.writing(now, handle)));
                }
                Err(CheckpointError::Mirror(MirrorError::Busy | MirrorError::Paused)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            },
            5 => {
                copy.continue_copy();
                written += finished(seed, &files, writing.take());
            }
            // Others executed more.
            6 if random.below(4) == 0 => {
                let mut other = mirrored(Fold::default(), config);
                now += 1 + random.below(9);
                apply(&mut other, 1..=now);
                let elsewhere = Files::default();
                elsewhere.write(now, other.checkpoint().unwrap()).unwrap();
                elsewhere.load(now, &mut both).unwrap();
            }
            _ => {
                let next = now + random.below(12);
                apply(&mut both, now + 1..=next);
                now = next;
                assert!(copy.status().commands <= config.commands_max.max(1), "seed {seed}");
            }
        }
    }
    copy.continue_copy();
    written += finished(seed, &files, writing);
    assert!(!matches!(copy.status().state, MirrorState::Failed(_)), "seed {seed}: {copy:?}");
    written
}

/// Waits for a checkpoint and checks it; says how many that is.
fn finished(seed: u64, files: &Files, writing: Option<(u64, mpsc::Receiver<Written>)>) -> usize {
    let Some((n, result)) = writing else { return 0 };
    match result.recv_timeout(SOON).unwrap() {
        Ok(()) => {
            assert_eq!(files.sum(n), after(n), "seed {seed}: the checkpoint at {n}");
            1
        }
        Err(CheckpointError::Mirror(MirrorError::Replaced)) => 0,
        Err(error) => panic!("seed {seed}: {error}"),
    }
}

#[test]
fn every_checkpoint_is_of_its_position() {
    let written: usize = (1..=40).map(run).sum();
    assert!(written > 100, "{written} checkpoints only");
}
