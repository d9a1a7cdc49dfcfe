//! Locks: std's, or with the feature `pthread_locks` those of pthreads, which race detectors know. (std's wait in code that no
//! detector has seen, so that everything behind them would look like a race.) What holds for one holds for the other.

#[cfg(not(feature = "pthread_locks"))]
pub use std::sync::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "pthread_locks")]
pub use pthreads::{Condvar, Mutex, MutexGuard};

#[cfg(feature = "pthread_locks")]
mod pthreads {
    use std::cell::UnsafeCell;
    use std::convert::Infallible;
    use std::ops::{Deref, DerefMut};

    /// As std's. The lock has a place of its own: it may not move.
    pub struct Mutex<T> {
        lock: Box<UnsafeCell<libc::pthread_mutex_t>>,
        value: UnsafeCell<T>,
    }

    // SAFETY: the value is reached by one thread at a time.
    unsafe impl<T: Send> Send for Mutex<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Sync for Mutex<T> {}

    impl<T> Mutex<T> {
        pub fn new(value: T) -> Self {
            Self { lock: Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)), value: UnsafeCell::new(value) }
        }

        /// It never fails: the type is that of std, for callers of both.
        ///
        /// # Errors
        /// None.
        pub fn lock(&self) -> Result<MutexGuard<'_, T>, std::sync::PoisonError<MutexGuard<'_, T>>> {
            // SAFETY: an initialised lock that does not move.
            unsafe { libc::pthread_mutex_lock(self.lock.get()) };
            Ok(MutexGuard(self))
        }

        /// # Errors
        /// When it is held.
        pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, Option<Infallible>> {
            // SAFETY: as above.
            if unsafe { libc::pthread_mutex_trylock(self.lock.get()) } == 0 { Ok(MutexGuard(self)) } else { Err(None) }
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Self {
            Self::new(T::default())
        }
    }

    /// As std's.
    pub struct MutexGuard<'a, T>(&'a Mutex<T>);

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: the lock is held.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: the lock is held.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            // SAFETY: the lock is held, by this thread.
            unsafe { libc::pthread_mutex_unlock(self.0.lock.get()) };
        }
    }

    /// As std's.
    pub struct Condvar(Box<UnsafeCell<libc::pthread_cond_t>>);

    // SAFETY: pthreads' conditions are for many threads.
    unsafe impl Send for Condvar {}
    // SAFETY: as above.
    unsafe impl Sync for Condvar {}

    impl Default for Condvar {
        fn default() -> Self {
            Self(Box::new(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER)))
        }
    }

    impl Condvar {
        /// # Errors
        /// None.
        pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>, std::sync::PoisonError<MutexGuard<'a, T>>> {
            // SAFETY: the lock is held, and again when this returns.
            unsafe { libc::pthread_cond_wait(self.0.get(), guard.0.lock.get()) };
            Ok(guard)
        }

        pub fn notify_one(&self) {
            // SAFETY: an initialised condition that does not move.
            unsafe { libc::pthread_cond_signal(self.0.get()) };
        }
    }
}
