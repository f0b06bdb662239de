//! The bounded pool on which passwords are hashed: so many at once, so much memory, so many waiting, the rest is told to
//! come back.
//!
//! A hash runs on a blocking thread and holds its place and its memory until it is done, also when its client has gone.
//! Both are given out in the order of asking: a hash that needs much memory is not overtaken for ever by small ones.
//! A place is always taken before memory, so whoever holds memory runs, and nobody waits in a circle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::HashingConfig;

/// Why no password was hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many wait already.
    #[error("too many password checks wait already")]
    Overloaded,
    /// The library failed.
    #[error("Argon2 failed: {0}")]
    Failed(argon2::password_hash::Error),
    /// The thread died.
    #[error("the hashing thread died")]
    Died(#[source] tokio::task::JoinError),
}

/// The bounded pool. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct HashingPool {
    pub(super) places: Arc<Semaphore>,
    pub(super) memory: Arc<Semaphore>,
    pub(super) waiting: Arc<AtomicUsize>,
    memory_mib: u32,
    queue_max: usize,
}

/// What one hash holds while it runs.
struct Share {
    _place: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

impl HashingPool {
    pub(super) fn new(config: &HashingConfig) -> Self {
        Self {
            places: Arc::new(Semaphore::new(config.permits)),
            // A u32 always fits: the limit of a semaphore is far beyond.
            memory: Arc::new(Semaphore::new(usize::try_from(config.memory_mib).unwrap_or(usize::MAX >> 3))),
            waiting: Arc::default(),
            memory_mib: config.memory_mib,
            queue_max: config.queue,
        }
    }

    /// Whether a hash that needs so much memory can ever run.
    pub(super) fn holds(&self, mib: u32) -> bool {
        mib <= self.memory_mib
    }

    /// Runs `work` once there is a place and `mib` of memory, which the pool must be able to hold.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        mib: u32,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let share = self.share(mib).await?;
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(share);
            result
        })
        .await
        .map_err(HashingError::Died)?
    }

    async fn share(&self, mib: u32) -> Result<Share, HashingError> {
        let mib = mib.min(self.memory_mib);
        // A semaphore with waiters has nothing left to try for: nobody jumps the queue.
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let memory = match place {
            Some(_) => Arc::clone(&self.memory).try_acquire_many_owned(mib).ok(),
            None => None,
        };
        if let (Some(place), Some(memory)) = (place, memory) {
            return Ok(Share { _place: place, _memory: memory });
        }
        // A place that was free is given back first, so that the queue is one queue.
        let queued = Waiting::take(&self.waiting, self.queue_max).ok_or(HashingError::Overloaded)?;
        let closed = |_| HashingError::Overloaded;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(closed)?;
        let memory = Arc::clone(&self.memory).acquire_many_owned(mib).await.map_err(closed)?;
        drop(queued);
        Ok(Share { _place: place, _memory: memory })
    }
}

/// A place in the queue, given back when its request goes on or goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(waiting: &'a AtomicUsize, max: usize) -> Option<Self> {
        waiting
            .try_update(Ordering::AcqRel, Ordering::Acquire, |count| (count < max).then_some(count + 1))
            .ok()
            .map(|_| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn pool(permits: usize, memory_mib: u32, queue: usize) -> HashingPool {
        HashingPool::new(&HashingConfig { permits, memory_mib, queue })
    }

    async fn until_waiting(pool: &HashingPool, count: usize) {
        let waiting = async {
            while pool.waiting.load(Ordering::Acquire) != count {
                tokio::task::yield_now().await;
            }
        };
        let deadline = std::time::Duration::from_mins(1);
        assert!(tokio::time::timeout(deadline, waiting).await.is_ok(), "{count} never came to wait");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn under_any_mix_neither_the_places_nor_the_memory_are_exceeded_and_all_are_served() {
        const PLACES: u32 = 3;
        const MEMORY: u32 = 128;
        let pool = pool(3, MEMORY, 500);
        let (running, memory) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let hashes = (0..200_u32).map(|number| {
            let mib = [19, 100, 1, 128, 16, 19, 1][number as usize % 7];
            let (pool, running, memory) = (pool.clone(), Arc::clone(&running), Arc::clone(&memory));
            let work = move || {
                let at_once = running.fetch_add(1, Ordering::AcqRel) + 1;
                let together = memory.fetch_add(mib, Ordering::AcqRel) + mib;
                std::thread::yield_now();
                memory.fetch_sub(mib, Ordering::AcqRel);
                running.fetch_sub(1, Ordering::AcqRel);
                Ok((at_once, together))
            };
            tokio::spawn(async move { pool.run(mib, work).await })
        });
        for hash in hashes.collect::<Vec<_>>() {
            let (at_once, together) = hash.await.unwrap().unwrap();
            assert!(at_once <= PLACES && together <= MEMORY, "{at_once} at once, {together} MiB together");
        }
        assert_eq!(pool.places.available_permits(), 3);
        assert_eq!(pool.memory.available_permits(), 128);
        assert_eq!(pool.waiting.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn a_large_hash_is_not_overtaken_by_small_ones_that_came_later() {
        let pool = pool(4, 128, 10);
        let held = Arc::clone(&pool.memory).acquire_many_owned(100).await.unwrap();
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let ask = |name: &'static str, mib| {
            let (pool, order) = (pool.clone(), Arc::clone(&order));
            let work = move || {
                order.lock().unwrap().push(name);
                Ok(())
            };
            tokio::spawn(async move { pool.run(mib, work).await })
        };
        let large = ask("large", 128);
        until_waiting(&pool, 1).await;
        let small = ask("small", 1);
        until_waiting(&pool, 2).await;
        assert!(order.lock().unwrap().is_empty(), "the small one waits its turn");
        drop(held);
        large.await.unwrap().unwrap();
        small.await.unwrap().unwrap();
        assert_eq!(*order.lock().unwrap(), ["large", "small"]);
    }

    #[tokio::test]
    async fn whoever_waits_for_memory_counts_as_waiting_and_gives_all_back_when_it_goes_away() {
        let pool = pool(2, 100, 1);
        let held = Arc::clone(&pool.memory).acquire_many_owned(50).await.unwrap();
        let gone = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(100, || Ok(())).await }
        });
        until_waiting(&pool, 1).await;
        assert!(matches!(pool.run(100, || Ok(())).await, Err(HashingError::Overloaded)));
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        drop(held);
        assert_eq!(pool.waiting.load(Ordering::Acquire), 0);
        assert_eq!((pool.places.available_permits(), pool.memory.available_permits()), (2, 100));
    }
}
