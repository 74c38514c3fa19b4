//! Who stays when all places are taken. Whoever has waited longest for his own next request goes, so that thousands who never finish
//! one keep nobody else out; only when all are being answered does the one go whose answer takes longest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Places for connections.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

/// Being answered or not, and since when, counted in changes.
type Standing = (bool, u64);

#[derive(Debug, Default)]
struct Taken {
    changes: u64,
    places: usize,
    /// Those who were not asked to go yet.
    standing: BTreeMap<Standing, Arc<Notify>>,
}

/// One of them, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    standing: Mutex<Standing>,
    go: Arc<Notify>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    /// A place, for which somebody else may have to go.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            // Made before it is looked, so that no place that becomes free is missed.
            let freed = self.freed.notified();
            {
                let mut taken = self.taken();
                if taken.places < self.most {
                    taken.places += 1;
                    let go = Arc::new(Notify::new());
                    let standing = taken.stand(false, Arc::clone(&go));
                    return Place { places: Arc::clone(self), standing: Mutex::new(standing), go };
                }
                if let Some((_, longest)) = taken.standing.pop_first() {
                    longest.notify_one();
                }
            }
            freed.await;
        }
    }

    /// When all places are free.
    pub(super) async fn empty(&self) {
        loop {
            let freed = self.freed.notified();
            if self.taken().places == 0 {
                return;
            }
            freed.await;
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn stand(&mut self, answered: bool, go: Arc<Notify>) -> Standing {
        self.changes += 1;
        let standing = (answered, self.changes);
        self.standing.insert(standing, go);
        standing
    }
}

impl Place {
    /// A request came whole, or its answer is made.
    pub(super) fn is_answered(&self, answered: bool) {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.places.taken();
        // Who was asked to go does not stand again.
        if let Some(go) = taken.standing.remove(&standing) {
            *standing = taken.stand(answered, go);
        }
    }

    /// When it has to be left.
    pub(super) async fn needed(&self) {
        self.go.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let standing = *self.standing.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.places.taken();
        taken.standing.remove(&standing);
        taken.places = taken.places.saturating_sub(1);
        drop(taken);
        self.places.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn who_waits_longest_makes_room_and_who_is_answered_goes_last() {
        let places = Places::new(3);
        let [first, second, third] = [0; 3].map(|_| now(places.take()).expect("a place"));
        first.is_answered(true);
        second.is_answered(true);
        second.is_answered(false);
        let mut fourth = pin!(places.take());
        let mut poll = || now(fourth.as_mut());
        assert!(poll().is_none() && now(third.needed()).is_some(), "it waits for longest");
        assert!(now(first.needed()).is_none() && now(second.needed()).is_none());
        drop(third);
        let fourth = poll().expect("a place");
        assert!(now(places.take()).is_none() && now(second.needed()).is_some(), "its answer is over");
        assert!(now(places.take()).is_none() && now(fourth.needed()).is_some());
        assert!(now(places.take()).is_none() && now(first.needed()).is_some(), "the last one");
        assert!(now(places.empty()).is_none());
        drop((first, second, fourth));
        assert!(now(places.empty()).is_some());
    }
}
