//! Keeps the connection on which we send to one peer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use synod_proto::{Packet, Seal, Verdict};
use tokio::io::Interest;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::handshake::{ConnectionError, Exchange, Side};
use super::link::{Flushed, Link};
use super::pipe::Pipe;
use super::stream::Stream;
use super::{Endpoint, Settings};
use crate::transport::PeerError;

/// Connects, writes what the driver could not, and connects again, until dropped.
pub(super) async fn run(link: Arc<Link>, address: String, endpoint: Endpoint, settings: Settings) {
    let (first, longest) = settings.backoff;
    let mut wait = first;
    let mut told = None;
    loop {
        let error = match connect(&link, &address, &endpoint, &settings).await {
            Ok((pipe, seal)) => {
                let (node, peer) = (endpoint.node().0, link.peer.0);
                tracing::info!(node, peer, %address, "connected");
                let stream = pipe.socket();
                let since = Instant::now();
                link.connect(pipe, seal);
                endpoint.link(link.peer, true);
                let error = serve(&link, &stream).await;
                link.disconnect();
                endpoint.link(link.peer, false);
                // One that is closed at once was refused, and is not to be tried in a tight loop.
                if since.elapsed() > longest {
                    (wait, told) = (first, None);
                }
                error
            }
            Err(error) => error,
        };
        // An unreachable peer is reported once, and not again at each attempt.
        let text = error.to_string();
        if told.as_ref() != Some(&text) {
            let (node, peer) = (endpoint.node().0, link.peer.0);
            if error.is_mistake() {
                tracing::warn!(node, peer, %address, error = text, "cannot talk to peer");
            } else {
                tracing::info!(node, peer, %address, error = text, "not connected");
            }
            told = Some(text);
        }
        if error.is_mistake() {
            wait = longest;
        }
        // A peer that has just dialled us is there: then we do not wait.
        drop(timeout(jittered(wait), link.bell.notified()).await);
        wait = (wait * 2).min(longest);
        if error.is_mistake() {
            sleep(first).await;
        }
    }
}

pub(super) async fn connect(
    link: &Link,
    address: &str,
    endpoint: &Endpoint,
    settings: &Settings,
) -> Result<(Pipe, Option<Seal>), ConnectionError> {
    let limit = settings.connect_timeout;
    let within = |_| ConnectionError::TimedOut(limit);
    let stream = timeout(limit, connect_any(address, settings)).await.map_err(within)??;
    let ours = endpoint.identity().hello(link.peer);
    let exchange = async {
        let mut stream = Stream::dial(stream, link.peer, settings).await?;
        let mut buffer = BytesMut::with_capacity(4096);
        let secret = settings.secret.as_ref();
        let mut exchange = Exchange::begin(&mut stream, &mut buffer, secret, Side::Dialler).await?;
        exchange.send_hello(ours.clone()).await?;
        let theirs = exchange.read_hello().await?;
        theirs.agree(&ours).map_err(PeerError::Hello)?;
        let ours = exchange.read_judgement().await?;
        endpoint.inlet().deliver(link.peer, &mut vec![Packet::Judged(ours)]);
        exchange.send_judgement(endpoint.identity().judge(&theirs)).await?;
        if ours.verdict != Verdict::Fine {
            return Err(PeerError::RefusedUs(ours.verdict).into());
        }
        let (seal, _) = exchange.end();
        let pipe = stream.into_pipe()?;
        if buffer.is_empty() { Ok((pipe, seal)) } else { Err(ConnectionError::Unasked) }
    };
    timeout(limit, exchange).await.map_err(within)?
}

/// Resolved anew each time, since addresses behind names change. All addresses are tried in turn.
async fn connect_any(address: &str, settings: &Settings) -> Result<TcpStream, ConnectionError> {
    let resolved = lookup_host(address)
        .await
        .map_err(|error| ConnectionError::Resolve(address.to_owned(), error))?;
    let mut last = ConnectionError::NoAddress(address.to_owned());
    for socket in resolved {
        match TcpStream::connect(socket).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                give_up_after(&stream, settings.unacknowledged_max);
                return Ok(stream);
            }
            Err(error) => last = ConnectionError::Connect(socket, error),
        }
    }
    Err(last)
}

/// Without it a connection that was cut for a minute stays silent for up to another one after the
/// network is back, because TCP doubles the time between its attempts.
fn give_up_after(stream: &TcpStream, unacknowledged_max: Duration) {
    #[cfg(target_os = "linux")]
    {
        let millis = u32::try_from(unacknowledged_max.as_millis()).unwrap_or(u32::MAX);
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, millis) {
            tracing::debug!(%error, "TCP_USER_TIMEOUT not set");
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        _ = (stream, unacknowledged_max);
    }
}

/// Until the connection breaks. Mostly asleep: the driver writes by itself.
async fn serve(link: &Link, stream: &TcpStream) -> ConnectionError {
    loop {
        let interest = if link.is_full() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let ready = tokio::select! {
            ready = stream.ready(interest) => ready,
            () = link.bell.notified() => {
                if !link.is_connected() {
                    return ConnectionError::Closed;
                }
                continue;
            }
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return error.into(),
        };
        if ready.is_writable() && link.is_full() {
            match link.flush() {
                Flushed::All | Flushed::Full => {}
                Flushed::Broken(Some(error)) => return error.into(),
                Flushed::Broken(None) => return ConnectionError::Closed,
            }
        }
        if ready.is_readable()
            && let Err(error) = link.read()
        {
            return error;
        }
    }
}

/// Between half and all of `wait`, so that nodes that lost each other do not return in step.
fn jittered(wait: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    let half = wait / 2;
    half + Duration::from_nanos(
        u64::try_from(half.as_nanos()).unwrap_or(u64::MAX).saturating_mul(u64::from(random)) >> 32,
    )
}
