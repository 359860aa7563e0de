//! What was acknowledged, what was found, and whether they agree.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::child::Event;

/// What the nodes reported so far.
#[derive(Debug)]
pub(crate) struct Account {
    acknowledged: Vec<String>,
    leader: Option<u64>,
    leader_changes: u32,
    ready: BTreeMap<u64, bool>,
    stopped: BTreeMap<u64, bool>,
    listed: BTreeMap<u64, Vec<String>>,
    last: Option<Instant>,
    pauses: Vec<Duration>,
}

impl Account {
    pub(crate) const fn new() -> Self {
        Self {
            acknowledged: Vec::new(),
            leader: None,
            leader_changes: 0,
            ready: BTreeMap::new(),
            stopped: BTreeMap::new(),
            listed: BTreeMap::new(),
            last: None,
            pauses: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, id: u64, event: Event) {
        match event {
            Event::Ready => {
                self.ready.insert(id, true);
            }
            Event::Leads(true) => {
                self.leader_changes += u32::from(self.leader != Some(id));
                self.leader = Some(id);
            }
            Event::Leads(false) => {
                if self.leader == Some(id) {
                    self.leader = None;
                }
            }
            Event::Gone => {
                self.ready.insert(id, false);
                self.take(id, Event::Leads(false));
            }
            Event::Acknowledged(command) => {
                let now = Instant::now();
                if let Some(pause) = self.last.map(|last| now - last)
                    && pause > PAUSE_MIN
                {
                    self.pauses.push(pause);
                }
                self.last = Some(now);
                self.acknowledged.push(command);
            }
            Event::Stopped => {
                self.stopped.insert(id, true);
            }
            Event::Listed(commands) => {
                self.listed.insert(id, commands);
            }
        }
    }

    pub(crate) const fn leader(&self) -> Option<u64> {
        self.leader
    }

    pub(crate) const fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    pub(crate) fn is_ready(&self, id: u64) -> bool {
        self.ready.get(&id).copied().unwrap_or(false)
    }

    pub(crate) fn has_stopped(&self, id: u64) -> bool {
        self.stopped.contains_key(&id)
    }

    pub(crate) fn has_listed(&self, id: u64) -> bool {
        self.listed.contains_key(&id)
    }

    pub(crate) fn last_pause(&self) -> Duration {
        self.pauses.last().copied().unwrap_or_default()
    }

    fn longest_pause(&self) -> Duration {
        self.pauses.iter().copied().max().unwrap_or_default()
    }
}

/// The comparison of what was acknowledged with what the nodes executed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Acknowledged, and not executed by some node.
    lost: usize,
    /// Executed more than once by some node.
    twice: usize,
    /// Nodes that executed other commands than the first, or in another order.
    different: Vec<u64>,
    executed: usize,
}

impl Verdict {
    pub(crate) fn of(account: &Account) -> Self {
        let mut verdict = Self::default();
        let Some((_, first)) = account.listed.first_key_value() else { return verdict };
        verdict.executed = first.len();
        for (&id, commands) in &account.listed {
            if commands != first {
                verdict.different.push(id);
            }
            let mut times: HashMap<&str, u32> = HashMap::with_capacity(commands.len());
            for command in commands {
                *times.entry(command).or_default() += 1;
            }
            verdict.twice += times.values().filter(|&&times| times > 1).count();
            let found = |command: &&String| times.contains_key(command.as_str());
            verdict.lost += account.acknowledged.iter().filter(|c| !found(c)).count();
        }
        verdict
    }

    pub(crate) fn is_good(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.different.is_empty() && self.executed > 0
    }

    /// The account in full, some lines of text.
    pub(crate) fn report(&self, account: &Account, ran: Duration) -> String {
        let acknowledged = account.acknowledged();
        let seconds = usize::try_from(ran.as_secs().max(1)).unwrap_or(1);
        let same = match self.different.as_slice() {
            [] => "the same on all three nodes, in the same order".to_owned(),
            some => format!("different on node {some:?}"),
        };
        let verdict = if self.is_good() {
            "Nothing was lost."
        } else {
            "THIS MUST NOT HAPPEN: commands were lost, repeated or reordered."
        };
        [
            format!("  commands acknowledged   {:>12}", thousands(acknowledged)),
            format!("  commands executed       {:>12}   {same}", thousands(self.executed)),
            format!("  acknowledged, not found {:>12}", thousands(self.lost)),
            format!("  executed twice          {:>12}", thousands(self.twice)),
            format!("  commands per second     {:>12}", thousands(acknowledged / seconds)),
            format!("  leader changes          {:>12}", account.leader_changes),
            format!("  longest pause           {:>9} ms", account.longest_pause().as_millis()),
            String::new(),
            format!("  {verdict}"),
        ]
        .join("\n")
    }
}

/// `1,234,567`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A shorter silence is no pause.
const PAUSE_MIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    fn account(acknowledged: &[&str], lists: [&[&str]; 3]) -> Account {
        let mut account = Account::new();
        for &command in acknowledged {
            account.take(1, Event::Acknowledged(command.into()));
        }
        for (id, list) in (1..).zip(lists) {
            account.take(id, Event::Listed(list.iter().map(|&each| each.into()).collect()));
        }
        account
    }

    #[test]
    fn the_verdict_finds_what_is_wrong() {
        let of = |acknowledged: &[&str], lists| Verdict::of(&account(acknowledged, lists));
        let (ab, ba, aab): (&[&str], &[&str], &[&str]) =
            (&["a", "b"], &["b", "a"], &["a", "a", "b"]);
        assert!(of(&["a"], [ab, ab, ab]).is_good(), "b may be there, unacknowledged");
        assert_eq!(of(&["a", "c"], [ab, ab, ab]).lost, 3);
        assert_eq!(of(&["a"], [ab, ba, ab]).different, [2]);
        assert_eq!(of(&["a"], [aab, aab, aab]).twice, 3);
        assert!(!of(&[], [&[], &[], &[]]).is_good(), "nothing shows nothing");
    }

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(thousands(7), "7");
        assert_eq!(thousands(1234), "1,234");
        assert_eq!(thousands(123_456_789), "123,456,789");
    }
}
