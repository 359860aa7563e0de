//! Machines that keep their own state, and checkpoints that are loaded.

use super::super::feed::{Entry, Feed};
use super::super::place::Place;
use super::*;

/// A machine that has kept its state after so many commands.
fn kept(n: u64) -> Fold {
    let kept = Some(Arc::new(Mutex::new((at(n), after(n)))));
    Fold { sum: after(n), kept, ..Fold::default() }
}

fn pair(first: u64, copy: u64) -> Mirrored<Fold> {
    Mirrored::new(kept(first), kept(copy), MirrorConfig::default()).unwrap()
}

/// A checkpoint that a mirror has written there.
fn written(files: &Files, n: u64) {
    let mut both = mirrored(Fold::default(), MirrorConfig::default());
    apply(&mut both, 1..=n);
    files.write(n, both.checkpoint().unwrap()).unwrap();
}

/// A checkpoint that the machine has written there without a mirror.
fn foreign(files: &Files, n: u64) {
    files.write(n, Box::new(Stream(after(n).to_le_bytes().to_vec().into()))).unwrap();
}

#[test]
fn each_executes_what_it_has_not_executed() {
    // Each machine panics if a position comes twice; the copy's panic would fail the checkpoint.
    for (first, copy) in [(5, 3), (3, 5), (4, 4), (6, 0)] {
        let (files, mut both) = (Files::default(), pair(first, copy));
        let start = first.min(copy);
        assert_eq!(both.applied(), at(start));
        for n in start + 1..=9 {
            let output = both.apply(at(n), command(n));
            let expected = if n <= first { String::new() } else { after(n).to_string() };
            assert_eq!(output, expected, "{n} with {first} and {copy}");
        }
        files.write(9, both.checkpoint().unwrap()).unwrap();
        assert_eq!(files.sum(9), after(9));
    }
}

#[test]
fn a_copy_that_is_further_gives_no_checkpoint() {
    let (files, mut both) = (Files::default(), pair(3, 5));
    let ahead = |n| MirrorError::Ahead { applied: at(5), at: at(n) };
    assert_eq!(mirror_error(both.checkpoint()), ahead(3));
    apply(&mut both, 4..=4);
    assert_eq!(mirror_error(both.checkpoint()), ahead(4));
    apply(&mut both, 5..=5);
    files.write(5, both.checkpoint().unwrap()).unwrap();
    assert_eq!(files.sum(5), after(5));
}

#[test]
fn a_first_that_is_further_does_not_keep_the_copy_from_being_written() {
    let (files, mut both) = (Files::default(), pair(8, 3));
    both.apply(at(4), command(4));
    files.write(4, both.checkpoint().unwrap()).unwrap();
    assert_eq!(files.sum(4), after(4));
}

#[test]
fn only_who_is_not_further_loads_a_checkpoint() {
    let files = Files::default();
    written(&files, 5);
    for (first, copy) in [(0, 0), (5, 5), (8, 5), (8, 2), (2, 8), (0, 8)] {
        let mut both = pair(first, copy);
        files.load(5, &mut both).unwrap();
        assert_eq!(both.read(Bytes::new()), after(first.max(5)).to_string());
        for n in 6..=9 {
            both.apply(at(n), command(n));
        }
        assert_eq!(both.read(Bytes::new()), after(9).to_string());
        files.write(9, both.checkpoint().unwrap()).unwrap();
        assert_eq!(files.sum(9), after(9), "with {first} and {copy}");
    }
}

#[test]
fn a_checkpoint_right_after_a_load_says_where_it_is() {
    let files = Files::default();
    written(&files, 5);
    let mut both = mirrored(Fold::default(), MirrorConfig::default());
    files.load(5, &mut both).unwrap();
    files.write(7, both.checkpoint().unwrap()).unwrap();
    let mut both = pair(6, 2);
    files.load(7, &mut both).unwrap();
    assert_eq!(both.read(Bytes::new()), after(6).to_string(), "it is further");
}

#[test]
fn a_checkpoint_of_no_mirror_is_loaded_by_machines_that_cannot_be_further() {
    let files = Files::default();
    foreign(&files, 5);
    let mut both = mirrored(Fold::default(), MirrorConfig::default());
    files.load(5, &mut both).unwrap();
    // The next says as little, until a command has come.
    files.write(6, both.checkpoint().unwrap()).unwrap();
    assert_eq!(
        mirror_error(files.load(6, &mut pair(7, 0))),
        MirrorError::Foreign { which: "first", applied: at(7) }
    );
    apply(&mut both, 6..=9);
    files.write(9, both.checkpoint().unwrap()).unwrap();
    assert_eq!(files.sum(9), after(9));
    files.load(9, &mut pair(12, 0)).unwrap();
}

#[test]
fn a_mirror_that_has_failed_to_load_is_not_written() {
    let files = Files::default();
    foreign(&files, 5);
    let mut both = pair(0, 7);
    let error = mirror_error(files.load(5, &mut both));
    assert_eq!(error, MirrorError::Foreign { which: "copy", applied: at(7) });
    let reason = CheckpointError::from(error).to_string();
    assert_eq!(mirror_error(both.checkpoint()), MirrorError::Load { reason });
}

#[test]
fn a_position_that_makes_no_sense_is_an_error() {
    struct Odd(&'static [u8]);
    impl Checkpoint for Odd {
        fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
            Ok(directory.create("mirror.position")?.write_all(self.0)?)
        }
    }
    let files = Files::default();
    for bytes in [&b""[..], b"synodmi1", b"synodmi1four", b"synodmi1123456781234+", b"synodmi2"] {
        files.write(5, Box::new(Odd(bytes))).unwrap();
        let error = files.load(5, &mut pair(0, 0)).unwrap_err();
        assert!(error.to_string().contains("mirror.position"), "{error}");
    }
}

#[test]
fn a_load_takes_the_place_of_what_was_queued() {
    let files = Files::default();
    written(&files, 9);
    let mut both = mirrored(Fold::default(), MirrorConfig::default());
    let copy = both.handle();
    apply(&mut both, 1..=3);
    let handle = both.checkpoint().unwrap();
    copy.pause_copy();
    apply(&mut both, 4..=6);
    files.load(9, &mut both).unwrap();
    assert_eq!(mirror_error(files.write(3, handle)), MirrorError::Replaced);
    assert!(!copy.continue_copy(), "it has moved");
    assert_eq!((copy.status().commands, copy.status().bytes), (0, 0));
    apply(&mut both, 10..=12);
    files.write(12, both.checkpoint().unwrap()).unwrap();
    assert_eq!(files.sum(12), after(12));
}

#[test]
fn a_load_waits_for_a_checkpoint_that_is_being_written() {
    let files = Files::default();
    written(&files, 9);
    let (copy, gate) = gated();
    let mut both = mirrored(copy, MirrorConfig::default());
    apply(&mut both, 1..=3);
    let written = files.writing(3, both.checkpoint().unwrap());
    gate.reached();
    apply(&mut both, 4..=6);
    let copy = both.handle();
    let there = files.clone();
    let loading = thread::spawn(move || (there.load(9, &mut both), both));
    until("the queue is dropped", || copy.status().commands == 0);
    assert_eq!((copy.status().state, copy.status().applied), (MirrorState::Saving, at(3)));
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(files.sum(3), after(3));
    let (loaded, mut both) = loading.join().unwrap();
    loaded.unwrap();
    apply(&mut both, 10..=12);
    files.write(12, both.checkpoint().unwrap()).unwrap();
    assert_eq!(files.sum(12), after(12));
}

#[test]
fn a_load_waits_for_a_writer_that_has_come_and_not_begun_to_read() {
    let feed = Arc::new(Feed::new(SmId(3), MirrorConfig::default(), Place::new(at(0))));
    let mark = feed.mark(at(0)).unwrap();
    assert_eq!(feed.reach(&mark), Ok(Place::new(at(0))));
    feed.push(Entry { at: at(1), command: command(1), output: None });
    let loading = Arc::clone(&feed);
    let thread = thread::spawn(move || loading.empty());
    until("the queue is dropped", || feed.status().commands == 0);
    for _ in 0..10_000 {
        assert!(!thread.is_finished(), "the state would change under the writer");
        thread::yield_now();
    }
    feed.release(&mark);
    assert_eq!(thread.join().unwrap(), Some(Place::new(at(0))));
}

#[test]
fn a_first_without_a_copy_still_loads() {
    let files = Files::default();
    written(&files, 9);
    let fault = Some(Fault::Panics(2));
    let mut both = mirrored(Fold { fault, ..Fold::default() }, MirrorConfig::default());
    let copy = both.handle();
    apply(&mut both, 1..=3);
    until("failed", || matches!(copy.status().state, MirrorState::Failed(_)));
    files.load(9, &mut both).unwrap();
    apply(&mut both, 10..=12);
}
