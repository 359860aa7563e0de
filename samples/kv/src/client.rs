//! The command line: one request to any server, its answer, and what an error means.
#![expect(clippy::print_stdout, reason = "what a command line is for")]

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use clap::{Args, Subcommand};
use thiserror::Error;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::api;
use crate::api::kv_client::KvClient;
use crate::service::RETRY_AFTER_MS;

/// Which servers to ask.
#[derive(Clone, Debug, Args)]
pub struct ClientOptions {
    /// Servers, separated by commas: the first that can be connected to is asked.
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT,…",
        value_delimiter = ',',
        default_value = "127.0.0.1:8001"
    )]
    pub servers: Vec<String>,
}

/// What to ask for.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Set a key, whatever it was; prints its version.
    Put {
        /// Which key.
        key: String,
        /// What it is set to.
        value: String,
    },
    /// Print a key's value; sees all that was acknowledged before, anywhere.
    Get {
        /// Which key.
        key: String,
        /// Ask only this server's own state: faster, works without a majority, may be stale.
        #[arg(long)]
        local: bool,
        /// Print the version before the value.
        #[arg(long)]
        version: bool,
    },
    /// Remove a key.
    Delete {
        /// Which key.
        key: String,
    },
    /// Set a key if it has this version (compare and set); prints its new version.
    Cas {
        /// Which key.
        key: String,
        /// What it is set to.
        value: String,
        /// The version that it must have, as `put`, `cas` and `get --version` print it; 0: it must be absent.
        #[arg(long)]
        version: u64,
    },
    /// Print the changes of all keys with this prefix as they happen: GROUP:REVISION, the key, its value.
    Watch {
        /// Which keys; all, if it is not given.
        #[arg(default_value = "")]
        prefix: String,
        /// Begin after this revision of a group instead of now; the last one printed, say.
        #[arg(long, value_name = "GROUP:REVISION", value_parser = revision)]
        after: Vec<api::Revision>,
    },
}

/// Why there is no answer, and what that means.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No server could be connected to.
    #[error("not done: no server could be reached ({0})")]
    Unreachable(String),
    /// The server did not do it, and will not.
    #[error("not done: {0}")]
    NotDone(String),
    /// The server has too much to do.
    #[error("not done: {text}; try again in {} ms", .retry_after.as_millis())]
    Overloaded {
        /// What it said.
        text: String,
        /// When to try again.
        retry_after: Duration,
    },
    /// Nobody knows whether it is done.
    #[error(
        "unknown: {0}\nIt may still be done, once, or never: look with `get` before you try again, or use `cas`."
    )]
    Unknown(String),
}

/// Asks, and prints the answer. False if the answer is no: the key is absent, or has another version.
///
/// # Errors
///
/// See [`ClientError`].
pub async fn ask(options: &ClientOptions, ask: Ask) -> Result<bool, ClientError> {
    let mut client = connect(&options.servers).await?;
    match ask {
        Ask::Put { key, value } => {
            let request = api::PutRequest { key: key.into(), value: value.into() };
            show(client.put(request).await.map_err(wrote)?.into_inner())
        }
        Ask::Delete { key } => {
            let request = api::DeleteRequest { key: key.into() };
            show(client.delete(request).await.map_err(wrote)?.into_inner())
        }
        Ask::Cas { key, value, version } => {
            let (key, value) = (key.into(), value.into());
            let request = api::CompareAndSetRequest { key, value, version };
            show(client.compare_and_set(request).await.map_err(wrote)?.into_inner())
        }
        Ask::Get { key, local, version } => {
            let request = api::GetRequest { key: key.into(), local };
            let answer = client.get(request).await.map_err(looked)?.into_inner();
            let Some(entry) = answer.entry else { return Ok(false) };
            if version {
                print!("{} ", entry.version);
            }
            println!("{}", String::from_utf8_lossy(&entry.value));
            Ok(true)
        }
        Ask::Watch { prefix, after } => watch(&mut client, prefix, after).await,
    }
}

async fn watch(
    client: &mut KvClient<Channel>,
    prefix: String,
    after: Vec<api::Revision>,
) -> Result<bool, ClientError> {
    let request = api::WatchRequest { prefix: prefix.into(), after };
    let mut changes = client.watch(request).await.map_err(looked)?.into_inner();
    while let Some(change) = changes.message().await.map_err(looked)? {
        let api::Revision { group, number } = change.revision.unwrap_or_default();
        match (change.key, change.entry) {
            (None, _) => println!("{group}:{number} begins"),
            (Some(key), Some(entry)) => {
                println!("{group}:{number} {} = {}", text(&key), text(&entry.value));
            }
            (Some(key), None) => println!("{group}:{number} {} deleted", text(&key)),
        }
        // Lines are wanted as they come, in pipes, too; who reads no more ends it.
        if std::io::stdout().flush().is_err() {
            break;
        }
    }
    Ok(true)
}

fn show(written: api::Written) -> Result<bool, ClientError> {
    if written.changed {
        println!("{}", written.version);
    } else {
        println!("not changed: the version is {}", written.version);
    }
    Ok(written.changed)
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn revision(text: &str) -> Result<api::Revision, String> {
    let (group, number) = text.split_once(':').ok_or("should be GROUP:REVISION")?;
    let group = group.parse().map_err(|error| format!("group {group:?}: {error}"))?;
    let number = number.parse().map_err(|error| format!("revision {number:?}: {error}"))?;
    Ok(api::Revision { group, number })
}

/// Only connecting is tried at one server after another: what was sent once is not sent again.
async fn connect(servers: &[String]) -> Result<KvClient<Channel>, ClientError> {
    let mut failed = Vec::new();
    for server in servers {
        let endpoint = Endpoint::from_shared(format!("http://{server}"))
            .map_err(|error| ClientError::NotDone(format!("{server:?}: {error}")))?;
        match endpoint.connect_timeout(CONNECT_TIMEOUT).connect().await {
            Ok(channel) => return Ok(KvClient::new(channel).max_decoding_message_size(usize::MAX)),
            Err(_) => failed.push(server.as_str()),
        }
    }
    Err(ClientError::Unreachable(failed.join(", ")))
}

/// What an error says of a write.
fn wrote(status: Status) -> ClientError {
    let text = status.message().to_owned();
    // A status that has a source was not sent by a server: the connection broke.
    if std::error::Error::source(&status).is_some() {
        return ClientError::Unknown(text);
    }
    if status.code() == Code::ResourceExhausted {
        let millis = status.metadata().get(RETRY_AFTER_MS);
        let millis = millis.and_then(|millis| millis.to_str().ok()?.parse().ok());
        let retry_after = Duration::from_millis(millis.unwrap_or(100));
        return ClientError::Overloaded { text, retry_after };
    }
    let not_done = [Code::Unavailable, Code::InvalidArgument, Code::OutOfRange];
    if not_done.contains(&status.code()) {
        ClientError::NotDone(text)
    } else {
        ClientError::Unknown(text)
    }
}

/// What an error says of a read, which changes nothing.
fn looked(status: Status) -> ClientError {
    match wrote(status) {
        ClientError::Unknown(text) => ClientError::NotDone(text),
        error @ (ClientError::Unreachable(_)
        | ClientError::NotDone(_)
        | ClientError::Overloaded { .. }) => error,
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
