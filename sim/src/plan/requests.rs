//! What clients ask: every request of a run, drawn before it starts.
//!
//! A client asks one thing after the other. What it asks, of which group, how long it waits and to
//! whom it turns if it is disappointed is all in the plan, so that leaving out one request leaves
//! the others as they are. Only when it asks depends on the run: a client that waits for its answers
//! asks later if they come later.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use synod_core::Time;

use super::text;
use crate::clients::Ask;
use crate::guests::Guests;
use crate::kv::{Action, Op};
use crate::rng::{Rng, to_index, to_u64};

/// A client of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The node that it asks first.
    #[serde(with = "text::node")]
    pub home: usize,
    /// Whether it asks on without waiting for answers.
    #[serde(default)]
    pub is_open: bool,
}

/// One request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whose, as an index.
    pub client: usize,
    /// How long it waits before: since the end of its last request, or if it is open since the
    /// beginning.
    #[serde(with = "text::duration")]
    pub pause: Duration,
    /// Which group, as an index.
    #[serde(default)]
    pub group: usize,
    /// What.
    pub ask: Ask,
    /// How long the node has to answer.
    #[serde(with = "text::duration")]
    pub patience: Duration,
    /// Whom the client asks from then on if this request is refused, or its end unknown.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::some_node")]
    pub elsewhere: Option<usize>,
}

/// What clients ask, as numbers to draw from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// How many clients there are.
    pub clients: usize,
    /// Out of a hundred, how many do not wait for an answer before they ask again.
    pub open_percent: u64,
    /// How many requests there are in all.
    pub requests: u64,
    /// The mean time between two requests of a client.
    pub think: Duration,
    /// How many keys there are.
    pub keys: u64,
    /// Out of a hundred, how many requests go to the first key.
    pub hot_percent: u64,
    /// Out of a hundred, how many requests are linearizable reads.
    pub read_percent: u64,
    /// Bytes that commands are padded with, at most.
    pub padding_max: u64,
    /// How long clients wait, at least and at most.
    pub patience: (Duration, Duration),
    /// Out of a hundred, how often a client that was disappointed asks another node.
    pub fickle_percent: u64,
}

impl Load {
    /// As a rule just enough requests to fill the run, sometimes a burst.
    pub(super) fn draw(rng: &mut Rng, election: Duration, until: Time) -> Self {
        let clients = rng.spread(1, 40);
        let requests = rng.spread(30, 500);
        let nanos = until.as_nanos() / requests.max(1) * clients;
        let think = if rng.percent(80) { nanos } else { nanos / 20 };
        Self {
            clients: to_index(clients),
            open_percent: rng.pick(&[0, 0, 30, 100]),
            requests,
            think: Duration::from_nanos(think),
            keys: rng.spread(1, 64),
            hot_percent: rng.pick(&[0, 20, 90]),
            read_percent: rng.pick(&[0, 10, 30, 70]),
            padding_max: rng.pick(&[0, 0, 40, 400, 3_000]),
            patience: (election / 4, election * u32::try_from(rng.within(1, 12)).expect("small")),
            fickle_percent: rng.pick(&[0, 50, 100]),
        }
    }

    /// Clients that read a lot of little, and stay with the node that they ask.
    pub(super) fn read(&mut self) {
        (self.read_percent, self.hot_percent, self.fickle_percent) = (60, 90, 20);
    }

    /// The clients and all that they ask.
    #[must_use]
    pub fn expand(&self, seed: u64, nodes: usize, groups: usize) -> (Vec<Client>, Vec<Request>) {
        let mut rng = Rng::stream(seed, "clients");
        let clients = (0..self.clients).map(|client| Client {
            home: rng.index(nodes),
            is_open: to_u64(client) * 100 < self.open_percent * to_u64(self.clients),
        });
        let clients: Vec<Client> = clients.collect();
        // All begin within a tenth of a second.
        let mut is_first = vec![true; self.clients];
        let requests = (1..=self.requests).map(|tag| {
            let client = rng.index(self.clients);
            let pause = rng.tail(nanos(self.think));
            let begin = rng.spread(1_000, 100_000_000);
            let pause = if std::mem::take(&mut is_first[client]) { begin } else { pause };
            let patience = rng.within(nanos(self.patience.0), nanos(self.patience.1));
            let is_fickle = rng.percent(self.fickle_percent);
            let other = rng.index(nodes);
            Request {
                client,
                pause: Duration::from_nanos(pause),
                group: rng.index(groups),
                ask: self.ask(&mut rng, tag),
                patience: Duration::from_nanos(patience),
                elsewhere: is_fickle.then_some(other),
            }
        });
        let requests = requests.collect();
        (clients, requests)
    }

    fn ask(&self, rng: &mut Rng, tag: u64) -> Ask {
        let key = if rng.percent(self.hot_percent) { 0 } else { rng.below(self.keys) };
        let key = u16::try_from(key).expect("few keys");
        if rng.percent(self.read_percent) {
            return Ask::Read(key);
        }
        let padding = to_index(rng.below(self.padding_max + 1));
        let action = match rng.below(4) {
            0 => Action::Put,
            1 => Action::Get,
            // Sometimes what an earlier operation put there, so that it may succeed.
            2 => Action::Cas(rng.below(tag)),
            _ => Action::Append,
        };
        Ask::Propose(Op { key, tag, action }, padding)
    }
}

/// On so many seeds out of a hundred, lets one client ask bursts of things without waiting: more at
/// once than a window holds.
pub(super) fn burst(clients: &mut Vec<Client>, requests: &mut [Request], seed: u64, percent: u64) {
    let mut rng = Rng::stream(seed, "bursts");
    let Some(last) = requests.len().checked_sub(1).filter(|_| rng.percent(percent)) else { return };
    let home = clients[rng.index(clients.len())].home;
    let client = clients.len();
    clients.push(Client { home, is_open: true });
    for _ in 0..rng.within(1, 4) {
        let first = rng.index(last);
        let end = first + to_index(rng.spread(10, 300));
        for request in requests.iter_mut().take(end).skip(first) {
            request.client = client;
            request.pause = Duration::from_nanos(rng.below(2_000));
        }
        // The burst comes when that request would have come, or about then.
        if let Some(request) = requests.get_mut(first) {
            request.pause = Duration::from_micros(rng.spread(100, 1_000_000));
        }
    }
}

/// On some seeds, lets half of all reads be content with a state that is a little old.
pub(super) fn relax(requests: &mut [Request], seed: u64, election: Duration) {
    let mut rng = Rng::stream(seed, "stale reads");
    if !rng.percent(40) {
        return;
    }
    for request in requests {
        if let Ask::Read(key) = request.ask
            && rng.percent(50)
        {
            let stale = election * u32::try_from(rng.spread(1, 100)).unwrap_or(1) / 20;
            request.ask = Ask::Stale(key, stale);
        }
    }
}

/// Lets all requests be to a user's state machines, if there are any. When, and of whom, stays.
pub(super) fn invite(requests: &mut [Request], guests: &Guests, seed: u64) {
    let mut rng = Rng::stream(seed, "guests");
    for request in requests {
        if let Some(ask) = guests.ask(&mut rng) {
            request.ask = ask;
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
