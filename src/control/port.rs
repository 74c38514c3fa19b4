//! The way of notices to a link's transport: a bounded queue that takes room for what waits in it and no more. One of
//! tokio's keeps 2.6 KB for each link, and most links have nothing waiting most of the time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;

/// A queue for up to `most` notices.
pub fn port(most: usize) -> (Port, Notices) {
    let queue = Arc::new(Mutex::new(Queue { waiting: VecDeque::new(), most, reader: None, over: false }));
    (Port(queue.clone()), Notices(queue))
}

#[derive(Debug)]
struct Queue {
    waiting: VecDeque<Bytes>,
    most: usize,
    reader: Option<Waker>,
    /// Whether the other end is gone.
    over: bool,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn take(&mut self) -> Option<Bytes> {
        let next = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(next)
    }
}

/// The end that notices are put into.
#[derive(Debug)]
pub struct Port(Arc<Mutex<Queue>>);

impl Port {
    /// Puts a line into the queue; false where it is full, or nobody reads it any more.
    #[must_use]
    pub fn say(&self, line: Bytes) -> bool {
        let mut queue = lock(&self.0);
        if queue.over || queue.waiting.len() >= queue.most {
            return false;
        }
        queue.waiting.push_back(line);
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
        true
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.over = true;
        if let Some(reader) = queue.reader.take() {
            reader.wake();
        }
    }
}

/// The end that notices are taken from.
#[derive(Debug)]
pub struct Notices(Arc<Mutex<Queue>>);

impl Notices {
    /// The next notice; none once all are taken and no more can come. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        poll_fn(|cx| {
            let mut queue = lock(&self.0);
            match queue.take() {
                Some(line) => Poll::Ready(Some(line)),
                None if queue.over => Poll::Ready(None),
                None => {
                    if queue.reader.as_ref().is_none_or(|reader| !reader.will_wake(cx.waker())) {
                        queue.reader = Some(cx.waker().clone());
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// The next notice, if one waits.
    pub fn waiting(&mut self) -> Option<Bytes> {
        lock(&self.0).take()
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        let mut queue = lock(&self.0);
        queue.over = true;
        queue.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn notices_come_in_their_order_and_end_with_the_port() {
        let (port, mut notices) = port(10);
        let reader = tokio::spawn(async move {
            let mut read = Vec::new();
            while let Some(line) = notices.next().await {
                read.push(line);
            }
            read
        });
        tokio::task::yield_now().await;
        for line in ["a", "b", "c"] {
            assert!(port.say(Bytes::from_static(line.as_bytes())));
        }
        drop(port);
        assert_eq!(reader.await.expect("it ends"), ["a", "b", "c"]);
    }

    #[test]
    fn a_full_queue_and_one_that_nobody_reads_take_nothing() {
        let (port, mut notices) = port(2);
        let line = || Bytes::from_static(b"a");
        assert!(port.say(line()) && port.say(line()) && !port.say(line()));
        assert_eq!(notices.waiting(), Some(line()));
        assert!(port.say(line()));
        drop(notices);
        assert!(!port.say(line()));
    }
}
