//! A server for scrapes, and for nothing else: HTTP/1.0, one answer a connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::Metrics;

impl Metrics {
    /// Answers `GET /metrics` at this socket until the future is dropped, at most 16 scrapes at a
    /// time and each within 5 seconds. Everybody who reaches the socket may read: bind it where
    /// that is right. Needs a tokio runtime with I/O and time, which is not the node's own.
    ///
    /// # Errors
    ///
    /// If the socket cannot be used at all. What goes wrong with one connection ends that one.
    pub async fn serve(self, listener: std::net::TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(SCRAPES_MAX));
        let mut scrapes = JoinSet::new();
        loop {
            while scrapes.try_join_next().is_some() {}
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let metrics = self.clone();
            scrapes.spawn(async move {
                drop(timeout(SCRAPE_TIME, answer(stream, &metrics)).await);
                drop(place);
            });
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > REQUEST_BYTES_MAX || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        (Some(b"GET"), b"/metrics") => ("200 OK", metrics.encode()),
        (Some(b"GET"), _) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.0 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const SCRAPES_MAX: usize = 16;
const SCRAPE_TIME: Duration = Duration::from_secs(5);
const REQUEST_BYTES_MAX: usize = 8 * 1024;
