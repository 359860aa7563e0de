//! Requests become proposals and reads of a group; errors become status codes, by what they say about the
//! request: not done, or perhaps.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use synod::{GroupHandle, ProposeError, ReadError};
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::api;
use crate::api::kv_server::Kv;
use crate::command::{Answer, Command, Outcome, Versioned};
use crate::feed::{Change, Feed, NotKept};
use crate::routing::group_of;
use crate::store::Store;

/// What the service needs of each group.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) group: GroupHandle,
    pub(crate) store: Store,
    pub(crate) feed: Feed,
}

/// The service of one node.
#[derive(Debug)]
pub(crate) struct Service {
    /// By the group's number.
    groups: Vec<Arc<Hosted>>,
    /// Becomes true when the server stops: watchers have to go then.
    stopping: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(groups: Vec<Hosted>, stopping: watch::Receiver<bool>) -> Self {
        Self { groups: groups.into_iter().map(Arc::new).collect(), stopping }
    }

    fn group(&self, key: &[u8]) -> &Arc<Hosted> {
        let count = u32::try_from(self.groups.len()).expect("counted with a u32");
        let group = usize::try_from(group_of(key, count).0).expect("usize has 32 bits");
        &self.groups[group]
    }

    async fn propose(&self, command: Command) -> Result<Response<api::Written>, Status> {
        let group = &self.group(&command.key).group;
        let committed = group.propose(command.to_bytes()).await.map_err(not_proposed)?;
        let outcome = Outcome::decode(committed.output).map_err(broken)?;
        if outcome.malformed {
            return Err(Status::internal("a node of another version did not understand this"));
        }
        let Outcome { changed, version, revision, malformed: _ } = outcome;
        let revision = Some(api::Revision { group: group.id().0, number: revision });
        Ok(Response::new(api::Written { changed, version, revision }))
    }
}

#[tonic::async_trait]
impl Kv for Service {
    async fn put(
        &self,
        request: Request<api::PutRequest>,
    ) -> Result<Response<api::Written>, Status> {
        let api::PutRequest { key, value } = request.into_inner();
        self.propose(Command::put(key, value)).await
    }

    async fn delete(
        &self,
        request: Request<api::DeleteRequest>,
    ) -> Result<Response<api::Written>, Status> {
        self.propose(Command::delete(request.into_inner().key)).await
    }

    async fn compare_and_set(
        &self,
        request: Request<api::CompareAndSetRequest>,
    ) -> Result<Response<api::Written>, Status> {
        let api::CompareAndSetRequest { key, value, version } = request.into_inner();
        self.propose(Command::compare_and_set(key, value, version)).await
    }

    async fn get(
        &self,
        request: Request<api::GetRequest>,
    ) -> Result<Response<api::GetResponse>, Status> {
        let api::GetRequest { key, local } = request.into_inner();
        let hosted = Arc::clone(self.group(&key));
        let entry = if local {
            // May wait for the disk.
            let look = tokio::task::spawn_blocking(move || hosted.store.get(&key));
            look.await.map_err(broken)?.map_err(broken)?
        } else {
            let answer = hosted.group.read(key).await.map_err(not_read)?;
            Answer::decode(answer).map_err(broken)?.entry
        };
        Ok(Response::new(api::GetResponse { entry: entry.map(shown) }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<api::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<api::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let api::WatchRequest { prefix, after } = request.into_inner();
        let (changes, stream) = mpsc::channel(WATCH_AHEAD_MAX);
        for hosted in &self.groups {
            let group = hosted.group.id().0;
            let wanted = after.iter().find(|revision| revision.group == group);
            let watcher = Watcher {
                group,
                feed: hosted.feed.clone(),
                prefix: prefix.clone(),
                after: wanted.map_or_else(|| hosted.feed.revision(), |revision| revision.number),
                changes: changes.clone(),
            };
            let mut stopping = self.stopping.clone();
            let stopped = async move { drop(stopping.wait_for(|&is_stopping| is_stopping).await) };
            tokio::spawn(async move {
                let gone = watcher.changes.clone();
                tokio::select! {
                    refusal = watcher.run() => {
                        if let Some(refusal) = refusal {
                            gone.send(Err(refusal)).await.unwrap_or_default();
                        }
                    }
                    () = gone.closed() => {}
                    () = stopped => {
                        let refusal = Status::unavailable("this node is shutting down");
                        gone.try_send(Err(refusal)).unwrap_or_default();
                    }
                }
            });
        }
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Sends one group's changes to one watcher.
struct Watcher {
    group: u32,
    feed: Feed,
    prefix: bytes::Bytes,
    after: u64,
    changes: mpsc::Sender<Result<api::WatchResponse, Status>>,
}

impl Watcher {
    /// Until the watcher is gone, or the changes are.
    async fn run(&self) -> Option<Status> {
        let mut after = self.after;
        if let Err(refusal) = self.feed.now_after(after) {
            return Some(self.not_kept(&refusal));
        }
        let revision = Some(api::Revision { group: self.group, number: after });
        let begin = api::WatchResponse { revision, key: None, entry: None };
        self.changes.send(Ok(begin)).await.ok()?;
        loop {
            let changes = match self.feed.after(after).await {
                Ok(changes) => changes,
                Err(refusal) => return Some(self.not_kept(&refusal)),
            };
            for Change { revision, key, entry } in changes {
                after = revision;
                if key.starts_with(&self.prefix) {
                    let revision = Some(api::Revision { group: self.group, number: revision });
                    let (key, entry) = (Some(key), entry.map(shown));
                    let message = api::WatchResponse { revision, key, entry };
                    self.changes.send(Ok(message)).await.ok()?;
                }
            }
        }
    }

    fn not_kept(&self, refusal: &NotKept) -> Status {
        Status::out_of_range(format!("group {}: {refusal}", self.group))
    }
}

fn shown(Versioned { value, version }: Versioned) -> api::Entry {
    api::Entry { value, version }
}

fn not_proposed(error: ProposeError) -> Status {
    let text = error.to_string();
    match error {
        ProposeError::Overloaded { retry_after } => overloaded(text, retry_after),
        ProposeError::TooLarge { .. } | ProposeError::Rejected { .. } => {
            Status::invalid_argument(text)
        }
        ProposeError::NotMember | ProposeError::Forming(_) => Status::unavailable(text),
        ProposeError::NoMachine(_) => Status::internal(text),
        // Done, but nobody here knows with which version: the text says to look.
        ProposeError::OutputLost { .. }
        | ProposeError::Unknown
        | ProposeError::ShuttingDown
        | ProposeError::Failed { .. }
        // And whatever is new: never say "no" of what may still happen.
        | _ => Status::unknown(text),
    }
}

fn not_read(error: ReadError) -> Status {
    let text = error.to_string();
    match error {
        ReadError::Overloaded => overloaded(text, RETRY_AFTER),
        ReadError::NoMachine(_) => Status::internal(text),
        // A read changes nothing: it can always be asked again.
        ReadError::NotMember
        | ReadError::Forming(_)
        | ReadError::TimedOut
        | ReadError::ShuttingDown
        | ReadError::Failed { .. }
        | _ => Status::unavailable(text),
    }
}

fn overloaded(text: String, retry_after: Duration) -> Status {
    let mut status = Status::resource_exhausted(text);
    let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(RETRY_AFTER_MS, millis.into());
    status
}

fn broken(error: impl std::fmt::Display) -> Status {
    Status::internal(error.to_string())
}

/// The name of the metadata that says when to try again.
pub(crate) const RETRY_AFTER_MS: &str = "retry-after-ms";

/// Where the library does not say.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Messages that wait for one watcher, of all groups; the rest waits in the feeds.
const WATCH_AHEAD_MAX: usize = 64;
