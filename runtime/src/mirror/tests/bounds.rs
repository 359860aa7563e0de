//! What happens at the bounds of the queue, and at the end.

use super::super::feed::{Entry, Feed};
use super::super::place::Place;
use super::*;

fn at_most(commands_max: usize) -> MirrorConfig {
    MirrorConfig { commands_max, ..MirrorConfig::default() }
}

/// Applies on a thread; says when each is done, and gives the machines back.
fn applying(
    mut both: Mirrored<Fold>,
    instances: std::ops::RangeInclusive<u64>,
) -> (thread::JoinHandle<Mirrored<Fold>>, Arc<AtomicBool>) {
    let done = Arc::new(AtomicBool::new(false));
    let tell = Arc::clone(&done);
    let thread = thread::spawn(move || {
        apply(&mut both, instances);
        tell.store(true, Ordering::Release);
        both
    });
    (thread, done)
}

#[test]
fn a_full_queue_waits_for_what_is_being_written() {
    let (copy, gate) = gated();
    let (files, mut both) = (Files::default(), mirrored(copy, at_most(4)));
    let copy = both.handle();
    apply(&mut both, 1..=2);
    let written = files.writing(2, both.checkpoint().unwrap());
    gate.reached();
    apply(&mut both, 3..=6);
    let (thread, done) = applying(both, 7..=20);
    until("it waits", || copy.status().waits == 1);
    assert!(!done.load(Ordering::Acquire));
    assert_eq!(copy.status().commands, 4, "the bound");
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(files.sum(2), after(2));
    let mut both = thread.join().unwrap();
    let handle = both.checkpoint().unwrap();
    files.write(20, handle).unwrap();
    assert_eq!(files.sum(20), after(20));
}

#[test]
fn bytes_are_bounded_and_a_larger_command_waits_alone() {
    let config = MirrorConfig { bytes_max: 1000, ..MirrorConfig::default() };
    let mut both = mirrored(Fold::default(), config);
    let copy = both.handle();
    let large = Bytes::from(vec![1; 5000]);
    copy.pause_copy();
    both.apply(at(1), large.clone());
    assert_eq!((copy.status().bytes, copy.status().waits), (5128, 0));
    assert!(copy.continue_copy());
    caught_up(&copy);
    copy.pause_copy();
    for n in 2..=8 {
        both.apply(at(n), Bytes::from_static(b"small"));
    }
    assert_eq!((copy.status().bytes, copy.status().waits), (7 * 133, 0));
    both.apply(at(9), Bytes::from_static(b"small"));
    assert_eq!(copy.status().waits, 1);
    both.apply(at(10), large);
    caught_up(&copy);
    assert_eq!((copy.status().bytes, copy.status().applied), (0, at(10)));
}

#[test]
fn a_full_queue_ends_a_pause() {
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), at_most(4)));
    let copy = both.handle();
    copy.pause_copy();
    apply(&mut both, 1..=4);
    assert_eq!(copy.status().state, MirrorState::Paused);
    apply(&mut both, 5..=9);
    assert!(!copy.continue_copy(), "it did not last");
    let handle = both.checkpoint().unwrap();
    files.write(9, handle).unwrap();
    assert_eq!(files.sum(9), after(9));
}

#[test]
fn a_pause_that_comes_while_a_command_waits_does_not_hold_it_up() {
    let (copy, gate) = gated();
    let (files, mut both) = (Files::default(), mirrored(copy, at_most(2)));
    let copy = both.handle();
    let written = files.writing(1, both.checkpoint().unwrap());
    gate.reached();
    let (thread, _) = applying(both, 1..=20);
    until("it waits", || copy.status().waits == 1);
    copy.pause_copy();
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    drop(thread.join().unwrap());
}

#[test]
fn a_pause_between_two_commands_does_not_hold_up_a_third() {
    let feed = Arc::new(Feed::new(SmId(3), at_most(1), Place::new(at(0))));
    feed.push(Entry { at: at(1), command: command(1), output: None });
    let waiting = Arc::clone(&feed);
    let thread = thread::spawn(move || waiting.admit(8));
    until("it waits", || feed.status().waits == 1);
    feed.pause(); // the copy is about to take the first command
    until("the pause has ended", || feed.status().state == MirrorState::Following);
    feed.end(&MirrorError::Ended);
    assert!(!thread.join().unwrap());
}

#[test]
fn a_pause_is_not_ended_by_a_queue_that_waits_for_a_checkpoint() {
    let (copy, gate) = gated();
    let (files, mut both) = (Files::default(), mirrored(copy, at_most(2)));
    let copy = both.handle();
    let written = files.writing(1, both.checkpoint().unwrap());
    gate.reached();
    copy.pause_copy();
    let (thread, _) = applying(both, 1..=3);
    until("it waits", || copy.status().waits == 1);
    assert!(copy.continue_copy(), "nothing would come of ending it");
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    drop(thread.join().unwrap());
}

#[test]
fn a_checkpoint_that_nobody_begins_is_given_up() {
    let config = MirrorConfig { begin_patience: Duration::ZERO, ..at_most(4) };
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), config));
    apply(&mut both, 1..=3);
    let late = both.checkpoint().unwrap();
    apply(&mut both, 4..=20);
    let handle = both.checkpoint().unwrap();
    let error = mirror_error(files.write(3, late));
    assert_eq!(error, MirrorError::Late { waited: Duration::ZERO });
    assert_eq!(mirror_error(both.checkpoint()), MirrorError::Busy, "the next is not released");
    files.write(20, handle).unwrap();
    assert_eq!(files.sum(20), after(20));
}

#[test]
fn a_checkpoint_has_time_to_begin() {
    let (files, mut both) = (Files::default(), mirrored(Fold::default(), at_most(1)));
    let copy = both.handle();
    apply(&mut both, 1..=3);
    let handle = both.checkpoint().unwrap();
    let (thread, _) = applying(both, 4..=9);
    until("it waits", || copy.status().commands == 1 && copy.status().waits > 0);
    files.write(3, handle).unwrap();
    assert_eq!(files.sum(3), after(3));
    drop(thread.join().unwrap());
}

/// Both machines of a mirror, and what they hold while they live.
fn counted(config: MirrorConfig) -> (Mirrored<Fold>, Arc<()>, Arc<Gate>) {
    let alive = Arc::new(());
    let (mut copy, gate) = gated();
    copy.alive = Some(Arc::clone(&alive));
    let first = Fold { alive: Some(Arc::clone(&alive)), ..Fold::default() };
    (Mirrored::new(first, copy, config).unwrap(), alive, gate)
}

fn gone(alive: &Arc<()>) {
    until("both are dropped", || Arc::strong_count(alive) == 1);
}

#[test]
fn a_drop_ends_a_pause_and_what_waits_for_it() {
    let (mut both, alive, _gate) = counted(MirrorConfig::default());
    let (files, copy) = (Files::default(), both.handle());
    let handle = both.checkpoint().unwrap();
    drop(handle);
    apply(&mut both, 1..=3);
    caught_up(&copy);
    copy.pause_copy();
    apply(&mut both, 4..=4);
    assert!(copy.continue_copy());
    let handle = both.checkpoint().unwrap();
    copy.pause_copy();
    drop(both);
    assert_eq!(mirror_error(files.write(4, handle)), MirrorError::Ended);
    assert_eq!(copy.status().state, MirrorState::Ended);
    assert!(!copy.continue_copy());
    gone(&alive);
}

#[test]
fn a_drop_lets_a_checkpoint_that_is_being_written_be_finished() {
    let (mut both, alive, gate) = counted(MirrorConfig::default());
    let files = Files::default();
    apply(&mut both, 1..=3);
    let written = files.writing(3, both.checkpoint().unwrap());
    gate.reached();
    apply(&mut both, 4..=9);
    drop(both);
    assert_eq!(Arc::strong_count(&alive), 2, "the copy is in use");
    gate.open();
    written.recv_timeout(SOON).unwrap().unwrap();
    assert_eq!(files.sum(3), after(3));
    gone(&alive);
}

#[test]
fn handles_keep_no_machine_alive() {
    let (both, alive, _gate) = counted(MirrorConfig::default());
    let copy = both.handle();
    drop(both);
    gone(&alive);
    assert_eq!(copy.status().state, MirrorState::Ended);
}
