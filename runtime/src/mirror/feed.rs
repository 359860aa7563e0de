//! The queue between a machine and its copy.
//!
//! Three threads meet here: the one that applies, the copy's, and the one that writes a checkpoint. A
//! checkpoint is a *mark*: a number of commands that the copy is to have finished, exactly, before it
//! is written; the copy takes no command beyond it until it is released.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_core::{Position, SmId};

use super::MirrorConfig;
use super::error::MirrorError;
use super::handle::{MirrorState, MirrorStatus};
use super::place::Place;

/// A command for the copy.
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) command: Bytes,
    /// What the first answered, if that is to be compared.
    pub(super) output: Option<Digest>,
}

/// An output's length and CRC-32C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(usize, u32);

impl Digest {
    pub(super) fn of(output: &[u8]) -> Self {
        Self(output.len(), crc32c::crc32c(output))
    }
}

/// What a checkpoint holds of its mark: why it was given up, if it was.
pub(super) type Mark = Arc<OnceLock<MirrorError>>;

pub(super) struct Feed {
    pub(super) sm: SmId,
    pub(super) config: MirrorConfig,
    state: Mutex<State>,
    /// For the copy's thread.
    work: Condvar,
    /// For everybody else.
    changed: Condvar,
}

struct State {
    entries: VecDeque<Entry>,
    /// Bytes of what is queued or being executed.
    bytes: usize,
    /// Bytes of what is being executed.
    executing: Option<usize>,
    /// Commands ever queued.
    queued: u64,
    /// Those of them that are finished.
    done: u64,
    /// Where the copy is.
    place: Place,
    standing: Option<Standing>,
    paused: bool,
    waits: u64,
    /// Nothing more is executed, and why.
    ended: Option<MirrorError>,
    /// The copy's thread waits for work.
    is_idle: bool,
    /// So many others wait for a change.
    watching: usize,
}

/// A checkpoint that is not finished.
struct Standing {
    mark: Mark,
    /// The copy goes so far and no further.
    at: u64,
    /// It is being written.
    begun: bool,
    /// It was said that commands wait for it.
    told: bool,
}

/// What keeps a queue full.
enum Blocker {
    /// The copy executes.
    Command,
    /// The copy is being written.
    Save,
    /// Nobody has come to write the copy.
    Writer,
    Pause,
}

impl Feed {
    pub(super) fn new(sm: SmId, config: MirrorConfig, place: Place) -> Self {
        let state = State {
            entries: VecDeque::new(),
            bytes: 0,
            executing: None,
            queued: 0,
            done: 0,
            place,
            standing: None,
            paused: false,
            waits: 0,
            ended: None,
            is_idle: false,
            watching: 0,
        };
        let (work, changed) = (Condvar::new(), Condvar::new());
        Self { sm, config, state: Mutex::new(state), work, changed }
    }

    /// Waits until there is room for a command of so many bytes; `false` if the copy takes no more.
    pub(super) fn admit(&self, len: usize) -> bool {
        let mut state = self.lock();
        let mut begin_by = None;
        let mut has_waited = false;
        while state.ended.is_none() && !state.has_room(len, &self.config) {
            if !has_waited {
                has_waited = true;
                state.waits += 1;
            }
            state = match state.waits_for() {
                Blocker::Writer => {
                    let now = Instant::now();
                    let until = *begin_by.get_or_insert(now + self.config.begin_patience);
                    if now >= until {
                        state.give_up(&MirrorError::Late { waited: self.config.begin_patience });
                        self.wake(&mut state);
                    }
                    self.watch(state, Some(until.saturating_duration_since(now)))
                }
                Blocker::Pause => {
                    state.paused = false;
                    self.wake(&mut state);
                    drop(state);
                    tracing::warn!(sm = self.sm.0, "a full queue ends the pause of a copy");
                    self.lock()
                }
                Blocker::Save if state.is_untold() => {
                    drop(state);
                    tracing::warn!(
                        sm = self.sm.0,
                        "commands wait until a checkpoint is written: the copy's queue is full"
                    );
                    self.lock()
                }
                Blocker::Save | Blocker::Command => self.watch(state, None),
            };
        }
        state.ended.is_none()
    }

    /// Queues a command that was admitted.
    pub(super) fn push(&self, entry: Entry) {
        let mut state = self.lock();
        if state.ended.is_none() {
            state.bytes += cost(entry.command.len());
            state.queued += 1;
            state.entries.push_back(entry);
            self.wake(&mut state);
        }
    }

    /// The next command for the copy, and where the copy is; nothing at the end.
    pub(super) fn next(&self) -> Option<(Entry, Position)> {
        let mut state = self.lock();
        while state.ended.is_none() {
            if let Some(entry) = state.take() {
                return Some((entry, state.place.at));
            }
            state.is_idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.is_idle = false;
        }
        None
    }

    /// The copy has executed what [`next`](Self::next) gave, and is here.
    pub(super) fn executed(&self, executed: Result<Position, MirrorError>) {
        let mut state = self.lock();
        let bytes = state.executing.take().unwrap_or_default();
        match executed {
            Ok(at) if state.ended.is_none() => {
                state.bytes -= bytes;
                state.done += 1;
                if at > state.place.at {
                    state.place = Place::new(at);
                }
                self.tell(&state);
            }
            Ok(_) => {}
            Err(error) => {
                drop(state);
                self.end(&error);
            }
        }
    }

    /// Makes a mark behind everything that is queued, after a command at `progress`.
    pub(super) fn mark(&self, progress: Position) -> Result<Mark, MirrorError> {
        let mut state = self.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        if state.paused {
            return Err(MirrorError::Paused);
        }
        if state.standing.is_some() {
            return Err(MirrorError::Busy);
        }
        if state.place.at > progress {
            return Err(MirrorError::Ahead { applied: state.place.at, at: progress });
        }
        let mark = Mark::default();
        let (at, copy) = (state.queued, Arc::clone(&mark));
        state.standing = Some(Standing { mark: copy, at, begun: false, told: false });
        Ok(mark)
    }

    /// Waits until the copy is at the mark, and says where that is: there it stands until
    /// [`release`](Self::release).
    pub(super) fn reach(&self, mark: &Mark) -> Result<Place, MirrorError> {
        let mut state = self.lock();
        loop {
            if let Some(error) = mark.get() {
                return Err(error.clone());
            }
            let place = state.place;
            if state.is_at_mark()
                && let Some(standing) = &mut state.standing
            {
                standing.begun = true;
                self.tell(&state);
                return Ok(place);
            }
            state = self.watch(state, None);
        }
    }

    /// The copy goes on from a mark, if it stands there.
    pub(super) fn release(&self, mark: &Mark) {
        let mut state = self.lock();
        if state.standing.take_if(|standing| Arc::ptr_eq(&standing.mark, mark)).is_some() {
            self.wake(&mut state);
            self.tell(&state);
        }
    }

    /// Forgets what is queued, and waits until the copy stands still; says where, if it is there.
    pub(super) fn empty(&self) -> Option<Place> {
        let mut state = self.lock();
        state.forget();
        state.paused = false;
        if state.standing.as_ref().is_some_and(|standing| !standing.begun) {
            state.give_up(&MirrorError::Replaced);
            self.tell(&state);
        }
        while state.ended.is_none() && (state.executing.is_some() || state.standing.is_some()) {
            state = self.watch(state, None);
        }
        state.ended.is_none().then_some(state.place)
    }

    /// The copy is here, by what it loaded.
    pub(super) fn moved(&self, place: Place) {
        self.lock().place = place;
    }

    /// The copy executes nothing more. The first reason counts.
    pub(super) fn end(&self, why: &MirrorError) {
        let mut state = self.lock();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(why.clone());
        state.forget();
        state.bytes = 0;
        state.give_up(why);
        self.wake(&mut state);
        self.tell(&state);
        drop(state);
        if *why != MirrorError::Ended {
            tracing::error!(sm = self.sm.0, error = %why, "no more checkpoints: the log is kept");
        }
    }

    pub(super) fn pause(&self) {
        let mut state = self.lock();
        state.paused = true;
        self.tell(&state); // for a command that waits for room, and would wait for the pause
    }

    pub(super) fn unpause(&self) -> bool {
        let mut state = self.lock();
        let was_paused = mem::replace(&mut state.paused, false) && state.ended.is_none();
        self.wake(&mut state);
        was_paused
    }

    pub(super) fn status(&self) -> MirrorStatus {
        let state = self.lock();
        MirrorStatus {
            state: state.says(),
            applied: state.place.at,
            commands: state.behind(),
            bytes: state.bytes,
            waits: state.waits,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the copy's thread if it rests, and has something to do.
    fn wake(&self, state: &mut State) {
        let has_work = state.may_take() && !state.entries.is_empty();
        if state.is_idle && (has_work || state.ended.is_some()) {
            state.is_idle = false;
            self.work.notify_one();
        }
    }

    /// Wakes everybody else.
    fn tell(&self, state: &State) {
        if state.watching > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for a change, at most so long.
    fn watch<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        wait: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        state.watching += 1;
        let mut state = match wait {
            Some(wait) => {
                let waited = self.changed.wait_timeout(state, wait);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
        state.watching -= 1;
        state
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status();
        f.debug_struct("Feed")
            .field("sm", &self.sm)
            .field("status", &status)
            .finish_non_exhaustive()
    }
}

impl State {
    /// Commands queued or being executed.
    fn behind(&self) -> usize {
        self.entries.len() + usize::from(self.executing.is_some())
    }

    /// An empty queue takes anything, or a command above the bounds would wait for ever.
    fn has_room(&self, len: usize, config: &MirrorConfig) -> bool {
        let behind = self.behind();
        let bytes = self.bytes.saturating_add(cost(len));
        behind == 0 || (behind < config.commands_max && bytes <= config.bytes_max)
    }

    /// Whether a checkpoint is to be written of the state that the copy has now.
    fn is_at_mark(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.begun || standing.at == self.done)
    }

    /// Whether the copy may execute a command.
    fn may_take(&self) -> bool {
        !self.paused && !self.is_at_mark()
    }

    /// What keeps the queue full.
    fn waits_for(&self) -> Blocker {
        match &self.standing {
            Some(standing) if !standing.begun && self.is_at_mark() => Blocker::Writer,
            Some(_) if self.is_at_mark() => Blocker::Save,
            Some(_) | None if self.paused => Blocker::Pause,
            Some(_) | None => Blocker::Command,
        }
    }

    /// Whether nobody has said yet that commands wait for this checkpoint; now somebody does.
    fn is_untold(&mut self) -> bool {
        self.standing.as_mut().is_some_and(|standing| !mem::replace(&mut standing.told, true))
    }

    /// Takes the next command, if it may be executed.
    fn take(&mut self) -> Option<Entry> {
        if !self.may_take() {
            return None;
        }
        let entry = self.entries.pop_front()?;
        if self.entries.is_empty() {
            self.entries.shrink_to(ENTRIES_KEPT);
        }
        self.executing = Some(cost(entry.command.len()));
        Some(entry)
    }

    /// Drops what is queued, as if it were finished.
    fn forget(&mut self) {
        self.entries = VecDeque::new();
        self.bytes = self.executing.unwrap_or_default();
        self.done = self.queued - u64::from(self.executing.is_some());
    }

    /// The copy no longer stands for a checkpoint, for this reason.
    fn give_up(&mut self, why: &MirrorError) {
        if let Some(standing) = self.standing.take() {
            standing.mark.get_or_init(|| why.clone());
        }
    }

    fn says(&self) -> MirrorState {
        match &self.ended {
            Some(MirrorError::Ended) => MirrorState::Ended,
            Some(error) => MirrorState::Failed(error.clone()),
            None if self.is_at_mark() => MirrorState::Saving,
            None if self.paused && self.executing.is_none() => MirrorState::Paused,
            None => MirrorState::Following,
        }
    }
}

/// What a command counts for: itself, its place in the queue and what its memory costs.
const fn cost(len: usize) -> usize {
    len.saturating_add(COMMAND_OVERHEAD)
}

const COMMAND_OVERHEAD: usize = 128;

/// Room in an empty queue that is not given back.
const ENTRIES_KEPT: usize = 1024;
