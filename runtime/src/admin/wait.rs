//! Waiting for a future on a thread that has nothing else to do.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// What the future gives, or `None` if it takes longer than that.
pub(super) fn wait<T>(future: impl Future<Output = T>, at_most: Duration) -> Option<T> {
    let begun = Instant::now();
    let waker = Waker::from(Arc::new(Rouse(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return Some(done);
        }
        thread::park_timeout(at_most.checked_sub(begun.elapsed())?);
    }
}

struct Rouse(Thread);

impl Wake for Rouse {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
