//! What became of the load's requests, in view of the faults: whom a fault excuses, and who had to do without the broker.

use std::time::Duration;

use tokio::time::Instant;

use super::account::Outcome;
use super::fault::API;
use super::load::{Attempt, Ledger};
use super::notes::{Noted, is_excused, needs_no_broker};

/// What became of the requests, in view of the faults.
#[derive(Debug, Default)]
pub struct Requests {
    /// Those that were refused (4xx), though they were in order.
    pub refused: Vec<String>,
    /// Those that failed without an excuse.
    pub unexcused: Vec<String>,
    /// How many failed with one.
    pub excused: usize,
    /// Those that were answered with 500.
    pub internal_errors: Vec<String>,
    /// How many were made while the broker was hit and nothing else that concerned them.
    pub without_broker: usize,
    /// How long the longest of them took.
    pub longest_without_broker: Duration,
}

impl Requests {
    /// From the log of the load and the times of the faults; `began` is when the run did.
    pub fn of(ledger: &Ledger, noted: &Noted, began: Instant) -> Self {
        let mut requests = Self::default();
        for attempt in &ledger.attempts {
            let words = || {
                let Attempt { name, act, replica, status, .. } = attempt;
                let second = (attempt.began - began).as_secs();
                let took = (attempt.ended - attempt.began).as_secs_f64();
                format!(
                    "{name} ({act:?} at {API}-{replica}) in second {second}, took {took:.1} s: {status:?}"
                )
            };
            match attempt.outcome() {
                Outcome::Acknowledged => {}
                Outcome::Refused => requests.refused.push(words()),
                Outcome::Unsure if is_excused(attempt, &noted.faults) => requests.excused += 1,
                Outcome::Unsure => requests.unexcused.push(words()),
            }
            if attempt.status == Some(500) {
                requests.internal_errors.push(words());
            }
            if needs_no_broker(attempt, &noted.faults) {
                requests.without_broker += 1;
                let took = attempt.ended - attempt.began;
                requests.longest_without_broker = requests.longest_without_broker.max(took);
            }
        }
        requests
    }
}
