//! Queues between threads, and waking the thread that reads them.

use mio::{Registry, Token};
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;

/// Wakes one thread, and only when it sleeps: a busy thread costs its feeders no system call.
#[derive(Debug)]
pub struct Wakeup {
    asleep: AtomicBool,
    sleeper: Sleeper,
}

#[derive(Debug)]
enum Sleeper {
    Poll(mio::Waker),
    Thread(Thread),
}

impl Wakeup {
    /// For a thread that sleeps in the poll of that registry; waking shows as an event of the
    /// token. One per poll.
    pub fn of_poll(registry: &Registry, token: Token) -> io::Result<Arc<Self>> {
        Ok(Self::new(Sleeper::Poll(mio::Waker::new(registry, token)?)))
    }

    /// For a thread that sleeps in `std::thread::park`.
    pub fn of_thread(thread: Thread) -> Arc<Self> {
        Self::new(Sleeper::Thread(thread))
    }

    fn new(sleeper: Sleeper) -> Arc<Self> {
        Arc::new(Self { asleep: AtomicBool::new(false), sleeper })
    }

    /// Wakes the thread if it sleeps or is about to. Call it after the work is in its place.
    #[inline]
    pub fn wake(&self) {
        // The plain load keeps the cache line shared while the thread is busy.
        if self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst) {
            match &self.sleeper {
                // It fails only without a poll to wake, and then nobody sleeps.
                Sleeper::Poll(waker) => drop(waker.wake()),
                Sleeper::Thread(thread) => thread.unpark(),
            }
        }
    }

    /// Whether the thread sleeps or is about to, as of now: it may wake by itself at any time.
    #[inline]
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// The thread is about to sleep. `has_work` looks at every queue it reads (they lock, so
    /// whatever was pushed before is seen, and whoever pushes later sees the thread asleep).
    /// `false`: there is work, do not sleep. `true`: sleep, then call [`Self::awake`].
    #[must_use]
    pub fn fall_asleep(&self, has_work: impl FnOnce() -> bool) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let may_sleep = !has_work();
        if !may_sleep {
            self.awake();
        }
        may_sleep
    }

    /// The thread is up.
    pub fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

/// A bounded queue that many threads push to and one empties. Pushing never waits for room.
#[derive(Debug)]
pub struct Queue<T> {
    items: Mutex<Vec<T>>,
    bound: usize,
    wakeup: Arc<Wakeup>,
}

/// The queue is full; here is the item back.
#[derive(Debug, PartialEq, Eq)]
pub struct Full<T>(pub T);

impl<T> Queue<T> {
    /// Holds at most `bound` items; `wakeup` is the reading thread's and may serve other queues too.
    pub fn new(bound: usize, wakeup: Arc<Wakeup>) -> Arc<Self> {
        Arc::new(Self { items: Mutex::new(Vec::new()), bound, wakeup })
    }

    /// Appends, and wakes the reader if it sleeps.
    pub fn push(&self, item: T) -> Result<(), Full<T>> {
        {
            let mut items = self.lock();
            if items.len() >= self.bound {
                return Err(Full(item));
            }
            items.push(item);
        }
        self.wakeup.wake();
        Ok(())
    }

    /// Appends all of these, with one lock, or none if there is no room for all. Nobody is woken: that is left to the
    /// caller, who may hold a lock now that the reader will want, and calls [`Self::wake`] without it.
    pub fn put_all(&self, batch: &mut Vec<T>) -> Result<(), Full<()>> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut items = self.lock();
        if items.len() + batch.len() > self.bound {
            return Err(Full(()));
        }
        items.append(batch);
        Ok(())
    }

    /// Wakes the reader if it sleeps.
    pub fn wake(&self) {
        self.wakeup.wake();
    }

    /// Everything that was pushed, in order; the empty vector given is the next one filled, so
    /// that two vectors take turns and nothing is allocated.
    pub fn take(&self, into: &mut Vec<T>) {
        assert!(into.is_empty(), "what was taken before has been worked off");
        mem::swap(&mut *self.lock(), into);
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        // Nothing panics while it is held, save for lack of memory.
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
