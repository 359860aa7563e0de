use super::*;

const ID: CheckpointId = CheckpointId { at: Instance(9), digest: 1 };
const NEWER: CheckpointId = CheckpointId { at: Instance(20), digest: 2 };

fn sender() -> Sender {
    let config = TransferConfig {
        chunk_bytes: 100,
        bytes_per_second: 1000,
        receivers_max: 2,
        ..TransferConfig::default()
    };
    let mut sender = Sender::new(config);
    sender.has(ID, Bytes::from_static(b"manifest"));
    sender
}

fn hear(
    sender: &mut Sender,
    millis: u64,
    from: u64,
    message: TransferMessage,
) -> Vec<SenderAction> {
    let mut out = Vec::new();
    sender.receive(Time::from_millis(millis), NodeId(from), &message, &mut out);
    out
}

fn ask(next: u64) -> TransferMessage {
    TransferMessage::Ask { next: Instance(next) }
}

fn fetch(id: CheckpointId, offset: u64) -> TransferMessage {
    TransferMessage::Fetch { id, file: 0, offset, len: 5000 }
}

fn nothing(to: u64, id: CheckpointId) -> [SenderAction; 1] {
    [SenderAction::Send(NodeId(to), TransferMessage::Nothing { id })]
}

#[test]
fn only_what_leads_further_is_offered() {
    let mut sender = sender();
    let none = CheckpointId::default();
    let [nothing] = nothing(2, none);
    let want = SenderAction::Want(Instance(10));
    assert_eq!(hear(&mut sender, 0, 2, ask(10)), [want, nothing], "and one will be taken");
    let offer = TransferMessage::Offer { id: ID, manifest: Bytes::from_static(b"manifest") };
    assert_eq!(hear(&mut sender, 0, 2, ask(9)), [SenderAction::Send(NodeId(2), offer)]);
}

#[test]
fn who_asks_again_gets_an_offer_only_of_what_was_checked() {
    let mut sender = sender();
    assert!(matches!(hear(&mut sender, 0, 2, ask(1))[..], [SenderAction::Send(..)]));
    let check =
        [SenderAction::Check { to: NodeId(2), id: ID, manifest: Bytes::from_static(b"manifest") }];
    assert_eq!(hear(&mut sender, 1, 2, ask(1)), check);
    assert!(matches!(hear(&mut sender, 1, 3, ask(1))[..], [SenderAction::Send(..)]), "another one");
    sender.lost(ID);
    assert_eq!(sender.pinned().count(), 0);
    let [nothing] = nothing(2, CheckpointId::default());
    assert_eq!(hear(&mut sender, 2, 2, ask(1)), [SenderAction::Want(Instance(1)), nothing]);
}

#[test]
fn who_has_begun_to_read_an_old_one_may_finish_it() {
    let mut sender = sender();
    hear(&mut sender, 0, 2, ask(1));
    sender.has(NEWER, Bytes::new());
    assert_eq!(sender.clean_limit(), ID.at);
    assert!(matches!(
        hear(&mut sender, 1, 2, fetch(ID, 0))[..],
        [SenderAction::Read { len: 100, .. }]
    ));
    let mut out = Vec::new();
    sender.tick(Time::from_millis(60_001), &mut out);
    assert_eq!(sender.clean_limit(), Instance::MAX, "it has been silent for too long");
    assert_eq!(hear(&mut sender, 60_002, 2, fetch(ID, 0)), nothing(2, ID));
}

#[test]
fn more_readers_than_there_may_be_are_sent_away() {
    let mut sender = sender();
    for reader in [2, 3] {
        assert!(matches!(
            hear(&mut sender, 0, reader, ask(1))[..],
            [SenderAction::Send(_, TransferMessage::Offer { .. })]
        ));
    }
    assert_eq!(hear(&mut sender, 0, 4, ask(1)), nothing(4, CheckpointId::default()));
    assert_eq!(hear(&mut sender, 0, 4, fetch(ID, 0)), nothing(4, ID));
}

#[test]
fn chunks_keep_to_the_rate_and_are_read_once() {
    let mut sender = sender();
    assert_eq!(hear(&mut sender, 0, 2, fetch(ID, 0)).len(), 1);
    assert_eq!(hear(&mut sender, 1, 3, fetch(ID, 0)), []);
    assert_eq!(hear(&mut sender, 2, 3, fetch(ID, 0)), [], "asked again");
    assert_eq!(sender.deadline(), Some(Time::from_millis(100)), "100 bytes at 1000 a second");
    let mut out = Vec::new();
    sender.tick(Time::from_millis(100), &mut out);
    assert!(matches!(out[..], [SenderAction::Read { to: NodeId(3), .. }]));
}
