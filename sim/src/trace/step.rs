//! One step of a run: as data for a picture, and as a line for a reader.

use std::fmt;
use std::time::Duration;

use synod_core::{Ballot, Event, Instance, Message, Record, Recovered, Time, WriteBatch};

use super::message::{Facts, facts};
use crate::clients::{Ask, CallId, End};
use crate::faults::Crash;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When.
    pub at: Time,
    /// At which node, if at one.
    pub node: Option<usize>,
    /// What.
    pub note: Note,
}

/// What happened, and how it reads. A text alone is a note, too: it is shown, and not drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Which group it is about, if about one.
    pub group: Option<usize>,
    /// What it is.
    pub what: What,
    /// How it reads.
    pub text: String,
}

/// What a step is, as far as a picture tells steps apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Worth a line.
    Note,
    /// A process started.
    Started,
    /// A process is gone.
    Crashed,
    /// A node stands still, and time goes on without it.
    Paused,
    /// A node that stood still goes on.
    Resumed,
    /// What a group read from the disk when it started.
    Recovered {
        /// Its chosen prefix.
        chosen: Instance,
        /// What it holds above that.
        held: Vec<Held>,
    },
    /// The role of a node in a group changed.
    Role(Role, Ballot),
    /// A node knows that everything up to here is chosen.
    Knows(Instance),
    /// A group wants this written.
    Wrote(Vec<Held>),
    /// This is durable, by group.
    Synced(Vec<(usize, Held)>),
    /// The node heard that its last write is durable.
    Told,
    /// A message left.
    Sent(Sent),
    /// The message with this number arrived.
    Heard(u64),
    /// The message with this number was on its way when its link was cut.
    Cut(u64),
    /// A value is chosen: a quorum of disks holds it, whoever knows.
    Chosen(Instance),
    /// Everything up to here is executed.
    Executed(Instance),
    /// A client asks something.
    Asked(CallId),
    /// A request is over, and how.
    Answered(CallId, &'static str),
    /// A planned fault was due.
    Fault {
        /// Its number in the plan.
        n: usize,
        /// It found whom to strike.
        has_struck: bool,
        /// The one-way links that it cuts or slows.
        links: Vec<(usize, usize)>,
    },
    /// A planned fault passed.
    Passed(usize),
    /// Faults are over.
    Mended,
}

/// What a node does in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It follows whoever leads.
    Follower,
    /// It asks whether it would be elected.
    Canvassing,
    /// It runs phase 1.
    Candidate,
    /// It leads.
    Leader,
}

/// A place in the log and what a disk holds or shall hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub instance: Instance,
    /// In which ballot; [`Ballot::ZERO`] if it is known to be chosen.
    pub ballot: Ballot,
    /// The value, as far as it helps to tell it from others.
    pub value: String,
}

/// A message that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number.
    pub id: u64,
    /// To whom.
    pub to: usize,
    /// What it is about.
    pub facts: Facts,
    /// When it arrives, unless something happens on the way. Lost if never.
    pub arrivals: Vec<Time>,
}

impl Note {
    /// Something about a group.
    #[must_use]
    pub const fn of(group: usize, what: What, text: String) -> Self {
        Self { group: Some(group), what, text }
    }

    /// Something about a whole node, or about nobody.
    #[must_use]
    pub const fn plain(what: What, text: String) -> Self {
        Self { group: None, what, text }
    }

    /// A message about a group leaves; what becomes of it is told by
    /// [`Trace::fate`](super::Trace::fate).
    #[must_use]
    pub fn sent(group: usize, to: usize, message: &Message) -> Self {
        let sent = Sent { id: 0, to, facts: facts(message), arrivals: Vec::new() };
        Self::of(group, What::Sent(sent), message.to_string())
    }

    /// A message about no group leaves.
    #[must_use]
    pub fn sent_founding(to: usize, message: &impl fmt::Debug) -> Self {
        let facts = Facts { kind: "founding", ..Facts::default() };
        let sent = Sent { id: 0, to, facts, arrivals: Vec::new() };
        Self::plain(What::Sent(sent), format!("{message:?}"))
    }

    /// A message about a group arrives.
    #[must_use]
    pub fn heard(group: usize, id: u64, from: u64, message: &Message) -> Self {
        Self::of(group, What::Heard(id), format!("< n{from}  {message}"))
    }

    /// A message about no group arrives.
    #[must_use]
    pub fn heard_founding(id: u64, from: usize, message: &impl fmt::Debug) -> Self {
        Self::plain(What::Heard(id), format!("   < n{}  {message:?}", from + 1))
    }

    /// A quorum of disks holds a value at this instance.
    #[must_use]
    pub fn chosen(group: usize, instance: Instance) -> Self {
        Self::of(group, What::Chosen(instance), format!("  {instance} is chosen"))
    }

    /// Something happened inside a group.
    #[must_use]
    pub fn event(group: usize, event: &Event) -> Self {
        let what = match event {
            Event::Canvassing(ballot) => What::Role(Role::Canvassing, *ballot),
            Event::Preparing(ballot) => What::Role(Role::Candidate, *ballot),
            Event::Leading(ballot) => What::Role(Role::Leader, *ballot),
            Event::SteppedDown(ballot, _) | Event::Following(ballot) => {
                What::Role(Role::Follower, *ballot)
            }
            Event::Chosen(upto) => What::Knows(*upto),
            Event::PeerLearns(_)
            | Event::ValuesLost(..)
            | Event::DigestsDiffer(..)
            | Event::Diverged(_)
            | Event::Checkpointed(_)
            | Event::Cleaned(_)
            | Event::Installed(_)
            | Event::InstallRefused(_)
            | Event::Master(..)
            | Event::MembershipChosen(_)
            | Event::MembershipChanged(_)
            | Event::Removed(_)
            | Event::Failed(..) => What::Note,
        };
        Self::of(group, what, format!("  {event}"))
    }

    /// A group has read its log.
    #[must_use]
    pub fn recovered(group: usize, recovered: &Recovered) -> Self {
        let Recovered { promised, chosen, entries, .. } = recovered;
        let held = entries.iter().map(|stored| Held {
            instance: stored.instance,
            ballot: stored.ballot,
            value: stored.value.as_ref().map_or_else(|| "lost".to_owned(), short),
        });
        let what = What::Recovered { chosen: *chosen, held: held.collect() };
        let count = entries.len();
        let text = format!("recovers: promise {promised}, chosen {chosen}, {count} entries above");
        Self::of(group, what, text)
    }

    /// A group wants a batch written.
    #[must_use]
    pub fn wrote(group: usize, batch: &WriteBatch) -> Self {
        let records: Vec<String> = batch.records().iter().map(ToString::to_string).collect();
        let text = format!("  writes {}", records.join(", "));
        Self::of(group, What::Wrote(held(batch).collect()), text)
    }

    /// A disk has synced these batches.
    #[must_use]
    pub fn synced(batches: &[WriteBatch]) -> Self {
        let all = batches.iter().flat_map(|batch| {
            let group = usize::try_from(batch.group().0).expect("few groups");
            held(batch).map(move |held| (group, held))
        });
        Self::plain(What::Synced(all.collect()), "synced".to_owned())
    }

    /// A request ends.
    #[must_use]
    pub fn answered(id: CallId, end: &End) -> Self {
        let (how, text) = match end {
            End::Committed(at, output) => {
                ("committed", format!("executed at {at}, output {output}"))
            }
            End::Skipped(at) => ("skipped", format!("executed at {at} in an earlier life")),
            End::Within(at) => ("executed", format!("executed by {at}, within a checkpoint")),
            End::Read(at, held) => ("read", format!("{held}, as of {}", at.instance)),
            End::Refused => ("refused", "refused".to_owned()),
            End::Unknown => ("unknown", "unknown".to_owned()),
            End::Unread => ("unread", "not read".to_owned()),
        };
        Self::plain(What::Answered(id, how), format!("answers request {}: {text}", id.0))
    }

    /// A request is handed to a node.
    #[must_use]
    pub fn asked(group: usize, id: CallId, ask: &Ask) -> Self {
        Self::of(group, What::Asked(id), format!("  is asked {}: {ask:?}", id.0))
    }

    /// The node that was asked is gone, and nobody will hear what became of the request.
    #[must_use]
    pub fn abandoned(id: CallId) -> Self {
        Self::plain(What::Answered(id, "abandoned"), format!("leaves request {} open", id.0))
    }

    /// A process started on what it found.
    #[must_use]
    pub fn started(boot: u64, report: &impl fmt::Debug) -> Self {
        Self::plain(What::Started, format!("starts, boot {boot}, {report:?}"))
    }

    /// A process stands still.
    #[must_use]
    pub fn paused(lasting: Duration, is_frozen: bool) -> Self {
        let how = if is_frozen { "with its machine " } else { "" };
        Self::plain(What::Paused, format!("stands still {how}for {lasting:?}"))
    }

    /// A process goes on.
    #[must_use]
    pub fn resumed() -> Self {
        Self::plain(What::Resumed, "goes on".to_owned())
    }

    /// A process is gone.
    #[must_use]
    pub fn crashed(how: Crash, down: Duration) -> Self {
        Self::plain(What::Crashed, format!("crashes: {how:?}, down for {down:?}"))
    }

    /// A node hears that what it wrote is durable.
    #[must_use]
    pub fn told() -> Self {
        Self::plain(What::Told, "hears of the sync".to_owned())
    }

    /// State machines have executed an instance.
    #[must_use]
    pub fn executed(group: usize, instance: Instance, digest: u64) -> Self {
        let text = format!("  executed {instance}, state {digest:x}");
        Self::of(group, What::Executed(instance), text)
    }

    /// A message does not arrive, since its link was cut while it was under way.
    #[must_use]
    pub fn cut(id: u64, from: usize) -> Self {
        Self::plain(What::Cut(id), format!("does not get a message of n{}: cut", from + 1))
    }

    /// A planned fault is due; whether it strikes is told by [`Trace::struck`](super::Trace::struck).
    #[must_use]
    pub fn fault(n: usize, text: String) -> Self {
        Self::plain(What::Fault { n, has_struck: false, links: Vec::new() }, text)
    }

    /// A planned fault is over.
    #[must_use]
    pub fn passed(n: usize) -> Self {
        Self::plain(What::Passed(n), format!("fault {n} passes"))
    }

    /// It does not work, and is entitled to that.
    #[must_use]
    pub fn excused(excuse: &impl fmt::Display) -> Self {
        Self::plain(What::Note, format!("excused: {excuse}"))
    }

    /// All faults are over.
    #[must_use]
    pub fn mended(ending: &impl fmt::Display) -> Self {
        Self::plain(What::Mended, format!("faults end: {ending}"))
    }
}

impl From<String> for Note {
    fn from(text: String) -> Self {
        Self::plain(What::Note, text)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, node, note } = self;
        let who = node.map_or_else(|| "-".to_owned(), |node| format!("n{}", node + 1));
        write!(f, "{:>10}  {who:<3} ", at.to_string())?;
        if let Some(group) = note.group {
            write!(f, "g{group} ")?;
        }
        match &note.what {
            What::Sent(sent) => {
                let gap = if note.group.is_none() { "   " } else { "" };
                write!(f, "{gap}> n{}  {}", sent.to + 1, note.text)?;
                f.write_str(match sent.arrivals.len() {
                    0 => " (lost)",
                    1 => "",
                    _ => " (twice)",
                })
            }
            What::Fault { .. } => write!(f, "fault: {}", note.text),
            What::Note
            | What::Started
            | What::Crashed
            | What::Paused
            | What::Resumed
            | What::Recovered { .. }
            | What::Role(..)
            | What::Knows(_)
            | What::Wrote(_)
            | What::Synced(_)
            | What::Told
            | What::Heard(_)
            | What::Cut(_)
            | What::Chosen(_)
            | What::Executed(_)
            | What::Asked(_)
            | What::Answered(..)
            | What::Passed(_)
            | What::Mended => f.write_str(&note.text),
        }
    }
}

/// What a batch says about places in the log.
fn held(batch: &WriteBatch) -> impl Iterator<Item = Held> {
    batch.records().iter().filter_map(|record| match record {
        Record::Accepted { instance, ballot, value } => {
            Some(Held { instance: *instance, ballot: *ballot, value: short(value) })
        }
        Record::Learned { instance, value } => {
            Some(Held { instance: *instance, ballot: Ballot::ZERO, value: short(value) })
        }
        Record::Promised(_)
        | Record::Chosen(_)
        | Record::Cleaned(_)
        | Record::Checkpoint { .. }
        | Record::Membership(_)
        | Record::Lease(_) => None,
    })
}

/// A value, or its beginning.
fn short(value: &synod_core::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(VALUE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// So many characters of a value are shown.
const VALUE_MAX: usize = 40;
