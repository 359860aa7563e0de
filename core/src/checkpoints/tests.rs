use super::*;
use crate::testing::{Kit, chosen};

fn checkpoints(keep: u64) -> (Kit, Entries, Checkpoints) {
    let mut kit = Kit::new(3);
    kit.env.config.keep_instances = keep;
    (kit, chosen(9), Checkpoints::new(Instance::ZERO))
}

fn take(checkpoints: &mut Checkpoints, at: u64, kit: &mut Kit) {
    checkpoints.take(Instance(at), Bytes::from_static(b"state"));
    checkpoints.on_taken(Instance(at), &mut kit.ctx());
}

#[test]
fn nothing_is_cleaned_before_the_record_of_the_checkpoint_is_durable() {
    let (mut kit, mut entries, mut checkpoints) = checkpoints(0);
    take(&mut checkpoints, 7, &mut kit);
    checkpoints.settle(Instance(9), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert_eq!((checkpoints.last(), entries.cleaned()), (Instance::ZERO, Instance::ZERO));
    kit.sync();
    checkpoints.settle(Instance(9), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert_eq!((checkpoints.last(), entries.cleaned()), (Instance(7), Instance(7)));
    assert_eq!(kit.written(), [Record::Cleaned(Instance(7))]);
    assert_eq!(kit.events(), [Event::Checkpointed(Instance(7)), Event::Cleaned(Instance(7))]);
}

#[test]
fn what_is_to_be_kept_stays_below_the_checkpoint() {
    let (mut kit, mut entries, mut checkpoints) = checkpoints(5);
    take(&mut checkpoints, 7, &mut kit);
    kit.sync();
    checkpoints.settle(Instance(9), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert_eq!(entries.cleaned(), Instance(2));
}

#[test]
fn a_limit_holds_cleaning_back_until_it_is_lifted() {
    let (mut kit, mut entries, mut checkpoints) = checkpoints(0);
    checkpoints.limit(Instance(3));
    take(&mut checkpoints, 7, &mut kit);
    kit.sync();
    checkpoints.settle(Instance(9), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert_eq!(entries.cleaned(), Instance(3));
    checkpoints.limit(Instance::MAX);
    checkpoints.settle(Instance(9), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert_eq!(entries.cleaned(), Instance(7));
}

#[test]
fn checkpoints_are_due_at_multiples_and_after_bytes() {
    let (mut kit, _, mut checkpoints) = checkpoints(0);
    let config = &mut kit.env.config;
    assert!(!checkpoints.is_due(Instance(4), 1000, config), "off unless it is set");
    config.checkpoint_interval = 4;
    assert!(!checkpoints.is_due(Instance(7), 1000, config));
    assert!(checkpoints.is_due(Instance(8), 0, config));
    checkpoints.take(Instance(8), Bytes::new());
    assert!(!checkpoints.is_due(Instance(12), 0, config), "the last is still being written");
    assert!(!checkpoints.is_wanted(Instance(13)));
    checkpoints.on_failed(Instance(8));
    assert!(checkpoints.is_wanted(Instance(13)), "as soon as the last is done");
    assert!(checkpoints.is_due(Instance(16), 0, config));
    checkpoints.take(Instance(16), Bytes::new());
    checkpoints.on_failed(Instance(16));
    config.checkpoint_bytes = 100;
    assert!(!checkpoints.is_due(Instance(17), 99, config));
    assert!(checkpoints.is_due(Instance(18), 1, config));
}

#[test]
fn one_that_is_asked_for_waits_for_the_last_and_leads_further() {
    let (mut kit, mut entries, mut checkpoints) = checkpoints(0);
    assert!(!checkpoints.is_wanted(Instance(5)));
    checkpoints.want();
    checkpoints.take(Instance(5), Bytes::new());
    assert!(!checkpoints.is_wanted(Instance(6)), "one is being taken");
    checkpoints.on_taken(Instance(5), &mut kit.ctx());
    assert!(!checkpoints.is_wanted(Instance(6)), "its record is being written");
    kit.sync();
    checkpoints.settle(Instance(6), &Proposer::Idle, &mut entries, &mut kit.ctx());
    assert!(checkpoints.is_wanted(Instance(6)));
    checkpoints.want();
    assert!(!checkpoints.is_wanted(Instance(5)), "it is there already");
}

#[test]
fn one_whose_files_went_bad_is_taken_again_at_the_same_instance() {
    let (mut kit, mut entries, mut checkpoints) = checkpoints(0);
    take(&mut checkpoints, 5, &mut kit);
    kit.sync();
    checkpoints.settle(Instance(5), &Proposer::Idle, &mut entries, &mut kit.ctx());
    checkpoints.lose(Instance(4));
    assert!(!checkpoints.is_wanted(Instance(5)), "an older one");
    checkpoints.lose(Instance(5));
    assert!(checkpoints.is_wanted(Instance(5)));
    take(&mut checkpoints, 5, &mut kit);
    kit.sync();
    checkpoints.settle(Instance(5), &Proposer::Idle, &mut entries, &mut kit.ctx());
    checkpoints.want();
    assert!(!checkpoints.is_wanted(Instance(5)), "it is whole again");
}

#[test]
fn one_that_is_on_its_way_is_known_to_come() {
    let (mut kit, _, mut checkpoints) = checkpoints(0);
    assert_eq!(checkpoints.newest(), Instance::ZERO);
    checkpoints.take(Instance(5), Bytes::new());
    assert_eq!(checkpoints.newest(), Instance(5));
    checkpoints.on_taken(Instance(5), &mut kit.ctx());
    assert_eq!((checkpoints.newest(), checkpoints.last()), (Instance(5), Instance::ZERO));
}

#[test]
fn one_that_was_overtaken_by_an_installed_one_does_not_count() {
    let (mut kit, _, mut checkpoints) = checkpoints(0);
    checkpoints.take(Instance(5), Bytes::new());
    checkpoints.install(Instance(8), &mut kit.ctx());
    checkpoints.on_taken(Instance(5), &mut kit.ctx());
    assert_eq!(kit.written(), []);
}
