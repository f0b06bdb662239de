//! Counts what anybody can do any number of times, such as showing forged tokens, and tells of it every few seconds: one
//! event for each key, with an exact count.
//!
//! Each alone is no event, so that a stranger can't fill the trail; the count is exact for as long as this process lives.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::contracts::Event;
use shared::contracts::auth::Tally;
use shared::outbox::{AppendError, Outbox};
use shared::telemetry::{TraceContext, error_chain};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// How long tries are gathered before they are told.
const INTERVAL: Duration = Duration::from_secs(10);
/// How many keys are told apart; the rest is counted together.
const KEYS_MAX: usize = 10_000;
/// How many keys of one source are told apart, if its keys can be widened.
const KEYS_OF_A_SOURCE_MAX: usize = 100;

/// Something that is counted, as it was the first time.
pub trait Tallied: Debug + Clone + Send + Sync + 'static {
    /// What is counted apart.
    type Key: Debug + Clone + Eq + Hash + Send;
    /// What tells of it.
    type Event: Event + Send;
    /// Who brings about keys.
    type Source: Debug + Clone + Eq + Hash + Send;
    /// What it is, for a log line.
    const WHAT: &'static str;

    /// Its key.
    fn key(&self) -> Self::Key;

    /// If one source can bring about any number of keys: that source, and this one without what the source chooses.
    /// Whatever is beyond so many keys of a source is counted so, under one key for all of that source: nobody fills the
    /// place of others.
    fn widened(&self) -> Option<(Self::Source, Self)>;

    /// What is told of all that have this one's key.
    fn event(&self, tally: Tally) -> Self::Event;

    /// What is told of all that were too many to be told apart.
    fn event_of_the_rest(tally: Tally) -> Self::Event;
}

/// The counts. Clones share them.
#[derive(Debug, Clone)]
pub struct Tallies<T: Tallied>(Arc<Mutex<Counts<T>>>);

#[derive(Debug)]
struct Counts<T: Tallied> {
    /// By key; under none, all that were too many.
    by_key: HashMap<Option<T::Key>, Counted<T>>,
    /// How many of the keys are of each source that can bring about any number.
    keys_of: HashMap<T::Source, usize>,
}

#[derive(Debug, Clone)]
struct Counted<T> {
    first: T,
    tally: Tally,
    trace: TraceContext,
}

/// Why the counts could not be told; they are kept.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// The database could not be asked, or refused.
    #[error("the database can't be used")]
    Database(#[from] sqlx::Error),
    /// An event could not be written.
    #[error("the event can't be written")]
    Append(#[from] AppendError),
}

impl<T: Tallied> Default for Tallies<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Tallied> Tallies<T> {
    /// Counts one.
    pub fn note(&self, one: T, trace: TraceContext, now: DateTime<Utc>) {
        let tally = Tally { count: 1, first_at: now, last_at: now };
        self.lock().add(Counted { first: one, tally, trace });
    }

    /// Tells what was counted since the last time, all or nothing.
    pub async fn tell(&self, database: &PgPool, outbox: &Outbox) -> Result<(), TellError> {
        let Counts { by_key: counts, .. } = std::mem::take(&mut *self.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let result = append(&counts, database, outbox).await;
        if result.is_err() {
            let mut kept = self.lock();
            for (key, counted) in counts {
                match key {
                    Some(_) => kept.add(counted),
                    None => kept.add_to(None, counted),
                }
            }
        }
        result
    }

    /// Tells every few seconds, and once more when the program stops.
    pub async fn tell_regularly(
        self,
        database: PgPool,
        outbox: Outbox,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if let Err(error) = self.tell(&database, &outbox).await {
                tracing::warn!(error = error_chain(&error), "{} can't be told of yet", T::WHAT);
            }
            if stop.is_cancelled() {
                return Ok(());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts<T>> {
        // A panic elsewhere leaves whole counts behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Tallied> Default for Counts<T> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), keys_of: HashMap::new() }
    }
}

impl<T: Tallied> Counts<T> {
    fn add(&mut self, mut counted: Counted<T>) {
        let mut key = Some(counted.first.key());
        let is_new = !self.by_key.contains_key(&key);
        // One that is widened already, and comes again because it could not be told, is none of the source's choice.
        let is_narrow = |(_, widened): &(_, T)| key != Some(widened.key());
        if let Some((source, widened)) = counted.first.widened().filter(|wider| is_new && is_narrow(wider)) {
            let keys = self.keys_of.entry(source).or_default();
            if *keys < KEYS_OF_A_SOURCE_MAX {
                *keys += 1;
            } else {
                key = Some(widened.key());
                counted.first = widened;
            }
        }
        self.add_to(key, counted);
    }

    fn add_to(&mut self, key: Option<T::Key>, counted: Counted<T>) {
        let is_one_too_many = self.by_key.len() >= KEYS_MAX && !self.by_key.contains_key(&key);
        let key = key.filter(|_| !is_one_too_many);
        let Tally { count, first_at, last_at } = counted.tally;
        self.by_key
            .entry(key)
            .and_modify(|known| {
                known.tally.count += count;
                known.tally.first_at = known.tally.first_at.min(first_at);
                known.tally.last_at = known.tally.last_at.max(last_at);
            })
            .or_insert(counted);
    }
}

async fn append<T: Tallied>(
    counts: &HashMap<Option<T::Key>, Counted<T>>,
    database: &PgPool,
    outbox: &Outbox,
) -> Result<(), TellError> {
    let mut transaction = database.begin().await?;
    for (key, Counted { first, tally, trace }) in counts {
        // Of those that are counted together none stands for the others.
        let event = match key {
            Some(_) => first.event(tally.clone()),
            None => T::event_of_the_rest(tally.clone()),
        };
        outbox.append(&mut transaction, trace, event).await?;
    }
    transaction.commit().await?;
    outbox.wake();
    Ok(())
}

#[cfg(test)]
mod tests {
    use shared::contracts::Origin;
    use shared::contracts::auth::{AccessDenial, AccessDenied};
    use shared::entropy::Entropy;

    use super::*;

    #[derive(Debug, Clone)]
    struct Numbered {
        number: usize,
        source: Option<u8>,
    }

    const MANY: usize = usize::MAX;

    impl Tallied for Numbered {
        type Key = (Option<u8>, usize);
        type Event = AccessDenied;
        type Source = u8;
        const WHAT: &'static str = "numbers";

        fn key(&self) -> Self::Key {
            (self.source, self.number)
        }

        fn widened(&self) -> Option<(u8, Self)> {
            Some((self.source?, Self { number: MANY, ..self.clone() }))
        }

        fn event(&self, Tally { count, first_at, last_at }: Tally) -> AccessDenied {
            AccessDenied {
                user_id: None,
                username: None,
                session_id: None,
                reason: AccessDenial::ForgedToken,
                object: None,
                count,
                first_at,
                last_at,
                origin: Origin::default(),
            }
        }

        fn event_of_the_rest(tally: Tally) -> AccessDenied {
            Self { number: 0, source: None }.event(tally)
        }
    }

    #[test]
    fn beyond_so_many_keys_the_rest_is_counted_together_and_nothing_is_lost() {
        let tallies = Tallies::<Numbered>::default();
        let trace = TraceContext::new(&Entropy::seeded(1));
        for number in 0..KEYS_MAX + 50 {
            tallies.note(Numbered { number, source: None }, trace, DateTime::UNIX_EPOCH);
            tallies.note(Numbered { number, source: None }, trace, DateTime::UNIX_EPOCH);
        }
        let counts = tallies.lock();
        let counts = &counts.by_key;
        assert_eq!((counts.len(), counts[&None].tally.count), (KEYS_MAX + 1, 100));
        assert_eq!(counts.values().map(|counted| counted.tally.count).sum::<u64>(), 20_100);
    }

    #[test]
    fn a_source_of_any_number_of_keys_has_a_hundred_of_its_own_and_one_for_the_others_also_when_it_is_told_again()
     {
        let trace = TraceContext::new(&Entropy::seeded(1));
        let once = |number, source| {
            let tally = Tally { count: 1, first_at: DateTime::UNIX_EPOCH, last_at: DateTime::UNIX_EPOCH };
            Counted { first: Numbered { number, source: Some(source) }, tally, trace }
        };
        let mut counts = Counts::default();
        // What could not be told comes again in any order: here the others come first.
        counts.add(once(MANY, 1));
        for number in 0..KEYS_MAX * 2 {
            counts.add(once(number, 1));
        }
        counts.add(once(0, 2));
        counts.add(once(0, 1));
        let count = |key| counts.by_key[&Some(key)].tally.count;
        assert_eq!(counts.by_key.len(), KEYS_OF_A_SOURCE_MAX + 2);
        assert_eq!((count((Some(1), 0)), count((Some(2), 0))), (2, 1));
        assert_eq!(count((Some(1), MANY)), 1 + (KEYS_MAX * 2 - KEYS_OF_A_SOURCE_MAX) as u64);
    }
}
