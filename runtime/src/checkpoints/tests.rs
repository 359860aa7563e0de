use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use synod_core::{Input, Instance, Manifest, NodeId, SmId, Time, TransferConfig, TransferMessage};

use super::{Keeper, Store};
use crate::state_machine::{Checkpoint, CheckpointError, Directory, Stream};
use crate::vfs::StdVfs;

struct Files(Vec<(&'static str, &'static [u8])>);

impl Checkpoint for Files {
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
        for (name, bytes) in self.0 {
            directory.create(name)?.write_all(bytes)?;
        }
        Ok(())
    }
}

fn open(dir: &Path, recorded: u64) -> (Store<StdVfs>, Option<Manifest>) {
    let recorded = (recorded > 0).then_some(Instance(recorded));
    Store::open(StdVfs, dir, recorded, |_| true).unwrap()
}

fn write(store: &Store<StdVfs>, at: u64) -> Manifest {
    let stream = Box::new(Stream(Bytes::from_static(b"small")));
    let files = Box::new(Files(vec![("b", b"second"), ("a", b"first"), ("empty", b"")]));
    let state = Bytes::from_static(b"group");
    store.write(Instance(at), state, vec![(SmId(7), stream), (SmId(0), files)]).unwrap()
}

#[test]
fn a_checkpoint_comes_back_by_its_parts() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), 0);
    let manifest = write(&store, 5);
    assert_eq!(open(dir.path(), 5).1, Some(manifest));
    let small = Stream::load(&store.part(Instance(5), SmId(7))).unwrap();
    assert_eq!(small, "small");
}

#[test]
fn what_no_record_names_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), 0);
    for at in [5, 9, 12] {
        write(&store, at);
    }
    let (_, found) = open(dir.path(), 9);
    assert_eq!(found.map(|manifest| manifest.at), Some(Instance(9)));
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["9"]);
}

#[test]
fn one_that_is_not_whole_is_as_good_as_none() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), 0);
    write(&store, 5);
    std::fs::write(dir.path().join("5/0/b"), "sec").unwrap();
    assert_eq!(open(dir.path(), 5).1, None);
}

#[test]
fn one_that_changed_on_disk_is_lost_to_whom_would_load_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), 0);
    let manifest = write(&store, 5);
    std::fs::write(dir.path().join("5/0/b"), "seconD").unwrap();
    let open = |needs: fn(SmId) -> bool| {
        Store::open(StdVfs, dir.path(), Some(Instance(5)), needs).unwrap().1
    };
    assert_eq!(open(|sm| sm == SmId(7)), Some(manifest), "the damage is another machine's");
    assert_eq!(open(|sm| sm == SmId(0)), None);
}

/// Writes a file, and has the disk hold something else.
struct Astray;

impl Checkpoint for Astray {
    fn write(self: Box<Self>, directory: &dyn Directory) -> Result<(), CheckpointError> {
        directory.create("a")?.write_all(b"first")?;
        std::fs::write(directory.path().join("a"), [0; 5])?;
        Ok(())
    }
}

#[test]
fn a_checksum_stands_for_what_the_machine_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path(), 0);
    let written = store.write(Instance(5), Bytes::new(), vec![(SmId(0), Box::new(Astray))]);
    assert!(matches!(written, Err(CheckpointError::Contents(_))), "{written:?}");
    assert_eq!(open(dir.path(), 5).1, None);
}

#[test]
fn a_checkpoint_that_went_bad_while_the_node_runs_is_offered_no_more_and_taken_again() {
    let peer = NodeId(2);
    let ask = TransferMessage::Ask { next: Instance(1) };
    for is_gone in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path(), 0);
        let manifest = write(&store, 5);
        let config = TransferConfig::default();
        let (mut keeper, is_whole) =
            Keeper::open(StdVfs, dir.path(), Some(Instance(5)), |_| true, config).unwrap();
        assert!(is_whole);
        keeper.receive(Time::ZERO, peer, ask.clone());
        let offer = TransferMessage::Offer { id: manifest.id(), manifest: manifest.encode() };
        assert_eq!(std::mem::take(&mut keeper.messages), [(peer, offer.clone())]);
        keeper.receive(Time::ZERO, peer, ask.clone());
        assert_eq!(std::mem::take(&mut keeper.messages), [(peer, offer)], "checked, and whole");
        keeper.inputs.clear();
        let file = dir.path().join("5/0/a");
        if is_gone {
            // What a peer is to be read shows that it is not there.
            std::fs::remove_file(file).unwrap();
            let fetch = TransferMessage::Fetch { id: manifest.id(), file: 0, offset: 0, len: 9 };
            keeper.receive(Time::ZERO, peer, fetch);
        } else {
            // The peer found that it is not what was announced, and asks again.
            std::fs::write(file, "fIrst").unwrap();
            keeper.receive(Time::ZERO, peer, ask.clone());
        }
        let nothing = TransferMessage::Nothing { id: manifest.id() };
        assert_eq!(std::mem::take(&mut keeper.messages), [(peer, nothing)]);
        let lost = |input: &Input| matches!(input, Input::CheckpointLost(Instance(5)));
        assert!(keeper.inputs.iter().any(lost), "{:?}", keeper.inputs);
    }
}

#[test]
fn what_is_received_is_checked_and_goes_on_after_a_restart() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (from, _) = open(there.path(), 0);
    let manifest = write(&from, 5);
    let (to, _) = open(here.path(), 0);
    assert_eq!(to.begin(&manifest).unwrap(), (0, 0));
    to.put(&manifest, 0, 0, b"fir").unwrap();
    let (to, _) = open(here.path(), 0);
    assert_eq!(to.begin(&manifest).unwrap(), (0, 3));
    to.put(&manifest, 0, 3, b"XX").unwrap();
    for (place, file) in (0..).zip(&manifest.files).skip(1) {
        let bytes = from.read(&manifest, place, 0, 100).unwrap();
        assert_eq!(u64::try_from(bytes.len()).unwrap(), file.size);
        to.put(&manifest, place, 0, &bytes).unwrap();
    }
    assert!(!to.finish(&manifest).unwrap(), "the first file is not what was announced");
    assert_eq!(to.begin(&manifest).unwrap(), (0, 0), "from the beginning");
    for (place, _) in (0..).zip(&manifest.files) {
        let bytes = from.read(&manifest, place, 0, 100).unwrap();
        to.put(&manifest, place, 0, &bytes).unwrap();
    }
    assert!(to.finish(&manifest).unwrap());
    assert_eq!(open(here.path(), 5).1, Some(manifest));
}
