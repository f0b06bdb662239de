//! Looks, several times a second, at how old the outbox is and how far the trail is behind, and now and then at how much memory
//! each program holds and how many events the consumers were given again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Method;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::fault::{CONSUMER, Replica};
use super::play::tell;
use super::stage::Stage;
use crate::machine::resident_kilobytes;

/// How often the outbox is looked at.
const PAUSE: Duration = Duration::from_millis(250);
/// An outbox is well if its oldest row is younger than this.
const WELL: Duration = Duration::from_secs(1);

/// What is older than this is told at once: whoever waits for the run sees it as an operator would.
const TOLD_BEYOND: Duration = Duration::from_secs(10);
/// How often that is told: so seldom that a test that failed shows all of it.
const TOLD_EVERY: Duration = Duration::from_secs(20);

/// How often the consumers are asked.
const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long they may take to answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);

const OUTBOX_AGE: &str =
    "SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM outbox WHERE parkings = 0";
/// What has arrived and nobody has seen there yet is not missing; ticks don't go to the trail.
const TRAIL_AGE: &str = "SELECT extract(epoch FROM clock_timestamp() - LEAST( \
        (SELECT min(created_at) FROM outbox WHERE exchange <> 'job.ticks'), \
        (SELECT min(created_at) FROM outbox_parked WHERE exchange <> 'job.ticks'), \
        (SELECT created_at FROM outbox_confirmed \
         WHERE NOT EXISTS (SELECT FROM audit.events WHERE events.event_id = outbox_confirmed.event_id) \
         ORDER BY confirmed_at, seq LIMIT 1) \
    ))::float8";

/// How things were at a moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// How old the oldest row of the outbox was; none if the database did not say. Of what was parked before the age is that of
    /// its cause, and not of the relays, as `outbox_oldest_age_seconds` has it.
    pub outbox: Option<Duration>,
    /// How old the oldest event was that is not in the trail, wherever it was; none if the database did not say.
    pub trail: Option<Duration>,
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
    /// The outbox and the trail.
    pub samples: Vec<Sample>,
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
    let mut told_at: Option<Instant> = None;
    for nth in 0_u64.. {
        pause.tick().await;
        let pool = stage.database.pool();
        // Side by side, and told apart: a trail that can't be looked at says nothing of the outbox.
        let (outbox, trail) = tokio::join!(age(pool, OUTBOX_AGE), age(pool, TRAIL_AGE));
        seen.lock().unwrap_or_else(PoisonError::into_inner).samples.push(Sample {
            at: Instant::now(),
            outbox,
            trail,
        });
        let (outbox, trail) = (outbox.unwrap_or_default(), trail.unwrap_or_default());
        if outbox.max(trail) > TOLD_BEYOND && told_at.is_none_or(|at| at.elapsed() > TOLD_EVERY) {
            let (outbox, trail) = (outbox.as_secs_f64(), trail.as_secs_f64());
            tell(&format!("    the outbox is {outbox:.1} s old, the trail {trail:.1} s behind"));
            told_at = Some(Instant::now());
        }
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

async fn age(database: &PgPool, question: &'static str) -> Option<Duration> {
    let asked = sqlx::query_scalar(question).fetch_one(database);
    let seconds: Option<f64> = timeout(Duration::from_secs(2), asked).await.ok()?.ok()?;
    Some(Duration::from_secs_f64(seconds.unwrap_or(0.0).max(0.0)))
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
    let is_well = |sample: &&&Sample| sample.outbox.is_some_and(|outbox| outbox < WELL);
    let well_since = quiet.iter().rev().take_while(is_well).last()?;
    Some(well_since.at - burst_end)
}

/// How far the trail was behind at most.
pub fn longest_behind(samples: &[Sample]) -> Duration {
    samples.iter().filter_map(|sample| sample.trail).max().unwrap_or_default()
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
                outbox: age.map(Duration::from_millis),
                trail: None,
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
