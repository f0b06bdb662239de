//! Looks, several times a second, at how old the outbox is, and now and then at how much memory each program holds and how
//! many events the consumers were given again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::fault::{CONSUMER, Replica};
use super::stage::Stage;
use crate::machine::resident_kilobytes;

/// How often the outbox is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// An outbox is well if its oldest row is younger than this.
const WELL: Duration = Duration::from_secs(1);

/// How often the consumers are asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long they may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

/// How old the oldest row of the outbox was at a moment; none if the database did not say.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// How old.
    pub age: Option<Duration>,
}

/// How much memory a program held, in kB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// When it was first looked at.
    pub first: usize,
    /// The most.
    pub most: usize,
    /// When it was last looked at.
    pub last: usize,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The outbox.
    pub outbox: Vec<Sample>,
    /// The programs.
    pub memory: BTreeMap<Replica, Memory>,
    /// What each consumer has counted of events that came again.
    pub again: BTreeMap<Replica, Count>,
}

/// A count of a program, which begins anew with each of its lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    earlier_lives: u64,
    this_life: u64,
}

impl Count {
    fn note(&mut self, count: u64) {
        if count < self.this_life {
            self.earlier_lives += self.this_life;
        }
        self.this_life = count;
    }

    /// Over all lives; what was counted between the last look and the end of a life is missing.
    pub fn total(self) -> u64 {
        self.earlier_lives + self.this_life
    }
}

/// Somebody who looks until this is dropped.
#[derive(Debug)]
pub struct Watch {
    seen: Arc<Mutex<Seen>>,
    looking: [JoinHandle<()>; 2],
}

impl Watch {
    /// Begins to look.
    pub fn begin(stage: Arc<Stage>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let looking = [
            tokio::spawn(look(stage.clone(), seen.clone())),
            tokio::spawn(ask_consumers(stage, seen.clone())),
        ];
        Self { seen, looking }
    }

    /// What was seen so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.iter().for_each(JoinHandle::abort);
    }
}

async fn look(stage: Arc<Stage>, seen: Arc<Mutex<Seen>>) {
    let mut pause = tokio::time::interval(PAUSE);
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for nth in 0_u64.. {
        pause.tick().await;
        let age = timeout(Duration::from_secs(2), age(stage.database.pool())).await.ok().flatten();
        let sample = Sample { at: Instant::now(), age };
        seen.lock().unwrap_or_else(PoisonError::into_inner).outbox.push(sample);
        if nth.is_multiple_of(8) {
            weigh(&stage, &seen);
        }
    }
}

async fn ask_consumers(stage: Arc<Stage>, seen: Arc<Mutex<Seen>>) {
    let mut clients = Vec::new();
    for (replica, program) in stage.programs().filter(|(replica, _)| replica.program == CONSUMER) {
        clients.push((replica, program.lock().await.client()));
    }
    loop {
        for (replica, client) in &clients {
            let count = async {
                let answer = client.request(Method::GET, "/metrics").send().await.ok()?.text().await.ok()?;
                let line = answer.lines().find_map(|line| line.strip_prefix("audit_events_duplicate_total "));
                line?.parse::<f64>().ok()
            };
            // One that is away, or stands still, counts nothing.
            if let Ok(Some(count)) = timeout(ANSWERED_WITHIN, count).await {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a count")]
                seen.again.entry(*replica).or_default().note(count as u64);
            }
        }
        tokio::time::sleep(ASKED_EVERY).await;
    }
}

/// Of what was parked before the age is that of its cause, and not of the relays, as `outbox_oldest_age_seconds` has it.
async fn age(database: &PgPool) -> Option<Duration> {
    let oldest = "SELECT COALESCE(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 \
                  FROM outbox WHERE parkings = 0";
    let seconds: f64 = sqlx::query_scalar(oldest).fetch_one(database).await.ok()?;
    Some(Duration::from_secs_f64(seconds.max(0.0)))
}

fn weigh(stage: &Stage, seen: &Mutex<Seen>) {
    for (replica, program) in stage.programs() {
        // One that is being killed or started weighs nothing.
        let Some(kilobytes) =
            program.try_lock().ok().and_then(|program| program.running_pid()).map(resident_kilobytes)
        else {
            continue;
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = seen.memory.entry(replica).or_insert(Memory { first: kilobytes, ..Memory::default() });
        memory.most = memory.most.max(kilobytes);
        memory.last = kilobytes;
    }
}

/// How long after `burst_end` the outbox was well for good, that is until `quiet_end`; none if it was not.
pub fn recovery(samples: &[Sample], burst_end: Instant, quiet_end: Instant) -> Option<Duration> {
    let within = |sample: &&Sample| sample.at >= burst_end && sample.at <= quiet_end;
    let quiet: Vec<&Sample> = samples.iter().filter(within).collect();
    let is_well = |sample: &&&Sample| sample.age.is_some_and(|age| age < WELL);
    let well_since = quiet.iter().rev().take_while(is_well).last()?;
    Some(well_since.at - burst_end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_goes_on_where_a_program_begins_anew() {
        let mut count = Count::default();
        for (seen, total) in [(0, 0), (3, 3), (3, 3), (5, 5), (1, 6), (4, 9), (0, 9)] {
            count.note(seen);
            assert_eq!(count.total(), total);
        }
    }

    #[test]
    fn an_outbox_has_recovered_once_it_is_young_and_stays_so() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let samples = |ages: &[Option<u64>]| -> Vec<Sample> {
            let sample = |(second, age): (usize, &Option<u64>)| Sample {
                at: at(second as u64),
                age: age.map(Duration::from_millis),
            };
            ages.iter().enumerate().map(sample).collect()
        };
        for (ages, expected) in [
            (&[Some(0), Some(0), Some(0), Some(0)][..], Some(0)),
            (&[Some(9_000), Some(5_000), Some(10), Some(0)], Some(1)),
            (&[Some(9_000), Some(10), Some(1_000), Some(999)], Some(2)),
            (&[Some(9_000), Some(10), None, Some(0)], Some(2)),
            (&[Some(0), Some(0), Some(0), Some(2_000)], None),
            (&[Some(0), Some(0), Some(0), None], None),
            (&[Some(0)], None),
        ] {
            let recovered = recovery(&samples(ages), at(1), at(3));
            assert_eq!(recovered, expected.map(Duration::from_secs), "{ages:?}");
        }
    }
}
