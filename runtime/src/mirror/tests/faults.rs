//! Copies that go wrong, and whether it is seen.

use super::*;

fn faulty(fault: Fault, compare_outputs: bool) -> Mirrored<Fold> {
    let config = MirrorConfig { compare_outputs, ..MirrorConfig::default() };
    mirrored(Fold { fault: Some(fault), ..Fold::default() }, config)
}

/// Applies 1 to 9 and writes a checkpoint; what is wrong with it, if something is.
fn check(mut both: Mirrored<Fold>) -> Result<(), String> {
    let files = Files::default();
    apply(&mut both, 1..=9);
    let handle = both.checkpoint().map_err(|error| error.to_string())?;
    apply(&mut both, 10..=12);
    files.write(9, handle).map_err(|error| error.to_string())?;
    if files.sum(9) == after(9) { Ok(()) } else { Err("another state".into()) }
}

#[test]
fn a_copy_that_executes_twice_or_never_is_seen_in_the_checkpoint() {
    assert_eq!(check(mirrored(Fold::default(), MirrorConfig::default())), Ok(()));
    for fault in [Fault::Twice(4), Fault::Never(4), Fault::Twice(9), Fault::Never(1)] {
        assert_eq!(check(faulty(fault, false)), Err("another state".into()));
    }
    for fault in [Fault::Twice(10), Fault::Never(10)] {
        assert_eq!(check(faulty(fault, false)), Ok(()), "behind the mark");
    }
}

#[test]
fn a_copy_that_answers_otherwise_is_never_written() {
    for fault in [Fault::Twice(4), Fault::Never(4), Fault::Twice(9), Fault::Never(1)] {
        let wrong = check(faulty(fault, true)).unwrap_err();
        assert!(wrong.contains("not deterministic"), "{wrong}");
    }
    let mut both = faulty(Fault::Never(2), true);
    let copy = both.handle();
    apply(&mut both, 1..=9);
    let diverged = MirrorError::Diverged { at: at(2) };
    until("failed", || copy.status().state == MirrorState::Failed(diverged.clone()));
    assert_eq!(mirror_error(both.checkpoint()), diverged);
    apply(&mut both, 10..=20);
    assert_eq!((copy.status().commands, copy.status().bytes), (0, 0), "nothing is queued for it");
}

#[test]
fn a_copy_that_panics_fails_checkpoints_and_nothing_else() {
    let files = Files::default();
    let mut both = faulty(Fault::Panics(4), true);
    apply(&mut both, 1..=3);
    files.write(3, both.checkpoint().unwrap()).unwrap();
    let before = both.checkpoint().unwrap();
    apply(&mut both, 4..=6);
    drop(before); // it stood there
    until("failed", || matches!(both.handle().status().state, MirrorState::Failed(_)));
    let error = mirror_error(both.checkpoint());
    let (during, reason) = ("at #4.0".to_owned(), "told to panic".to_owned());
    assert_eq!(error, MirrorError::Panicked { during, reason });
    apply(&mut both, 7..=9);
    assert_eq!(mirror_error(both.checkpoint()), error);
    assert_eq!(files.sum(3), after(3));
}

#[test]
fn who_waits_for_a_copy_that_panics_is_told() {
    let files = Files::default();
    let mut both = faulty(Fault::Panics(4), true);
    let copy = both.handle();
    copy.pause_copy();
    apply(&mut both, 1..=6);
    assert!(copy.continue_copy());
    let error = match both.checkpoint() {
        Ok(handle) => mirror_error(files.writing(6, handle).recv_timeout(SOON).unwrap()),
        Err(error) => mirror_error::<()>(Err(error)),
    };
    assert!(matches!(error, MirrorError::Panicked { .. }), "{error}");
}

#[test]
fn a_copy_that_panics_when_it_is_written_is_asked_nothing_more() {
    let files = Files::default();
    let mut both = faulty(Fault::PanicsWhenSaved, true);
    apply(&mut both, 1..=3);
    let error = mirror_error(files.write(3, both.checkpoint().unwrap()));
    assert!(matches!(&error, MirrorError::Panicked { during, .. } if during.contains("written")));
    assert_eq!(mirror_error(both.checkpoint()), error);
    apply(&mut both, 4..=9);
}

#[test]
fn a_copy_that_is_not_written_once_may_be_next_time() {
    let files = Files::default();
    let mut both = faulty(Fault::FailsWhenSaved, true);
    for n in 1..=3 {
        apply(&mut both, n..=n);
        let error = files.write(n, both.checkpoint().unwrap()).unwrap_err();
        assert!(matches!(error, CheckpointError::Contents(_)), "{error}");
    }
}
