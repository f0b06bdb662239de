//! What the suite notes while it works: when which faults were there, whom they excuse, what it did itself.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::{Excuse, Fault, Kind};
use super::load::Attempt;

/// How long after a fault a request may still fail of it: connections are made anew, a program starts.
const AFTERMATH: Duration = Duration::from_secs(15);

/// The notes of one run.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Noted>);

/// What was noted.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// Each fault, from when and until when.
    pub faults: Vec<Span>,
    /// How many unreadable messages were surely published.
    pub poison: usize,
    /// What could not be done.
    pub left_out: Vec<String>,
    /// How often each program ended by itself and was started again.
    pub ended_by_itself: BTreeMap<String, usize>,
}

/// A fault in time.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Which.
    pub fault: Fault,
    /// When it began.
    pub from: Instant,
    /// When it was put right, if it was.
    pub until: Option<Instant>,
}

impl Notes {
    /// A fault begins; gives its place.
    pub fn begins(&self, fault: Fault) -> usize {
        self.change(|noted| {
            noted.faults.push(Span { fault, from: Instant::now(), until: None });
            noted.faults.len() - 1
        })
    }

    /// The fault at that place is put right.
    pub fn ends(&self, place: usize) {
        self.change(|noted| noted.faults[place].until = Some(Instant::now()));
    }

    /// Unreadable messages were published.
    pub fn poisoned(&self, messages: usize) {
        self.change(|noted| noted.poison += messages);
    }

    /// Something could not be done.
    pub fn left_out(&self, words: &str) {
        self.change(|noted| noted.left_out.push(words.to_owned()));
    }

    /// A program ended though nobody had asked it to.
    pub fn ended_by_itself(&self, program: &str) {
        self.change(|noted| *noted.ended_by_itself.entry(program.to_owned()).or_default() += 1);
    }

    /// All of it.
    pub fn read(&self) -> Noted {
        self.change(|noted| noted.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Noted) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Noted {
    /// How many faults of each kind there were.
    pub fn by_kind(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        for span in &self.faults {
            *kinds.entry(span.fault.kind()).or_default() += 1;
        }
        kinds
    }
}

/// Whether a fault explains why a request failed.
pub fn is_excused(attempt: &Attempt, faults: &[Span]) -> bool {
    faults.iter().any(|span| {
        let concerns = match span.fault.excuses() {
            Excuse::Nobody => false,
            Excuse::Replica(number) => number == attempt.replica,
            Excuse::Everybody => true,
        };
        concerns
            && attempt.ended >= span.from
            && span.until.is_none_or(|until| attempt.began <= until + AFTERMATH)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fault::PROGRAMS;
    use super::super::load::Act;
    use super::*;

    #[test]
    fn a_failed_request_is_excused_only_by_a_fault_that_concerns_it_at_that_time() {
        let start = Instant::now() + Duration::from_secs(1_000);
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let attempt = |replica, began, ended| Attempt {
            name: String::new(),
            act: Act::Create,
            replica,
            began: at(began),
            ended: at(ended),
            status: None,
        };
        let span = |fault| Span { fault, from: at(100), until: Some(at(110)) };
        let api_1 = span(Fault::KilledProgram(PROGRAMS[0]));
        for (attempt, fault, excused) in [
            (attempt(1, 105, 106), api_1, true),
            (attempt(2, 105, 106), api_1, false),
            (attempt(1, 90, 99), api_1, false),
            (attempt(1, 90, 101), api_1, true),
            (attempt(1, 124, 125), api_1, true),
            (attempt(1, 126, 127), api_1, false),
            (attempt(2, 105, 106), span(Fault::KilledPostgres), true),
            (attempt(1, 105, 106), span(Fault::KilledRabbitmq(0)), false),
            (attempt(1, 500, 501), Span { until: None, ..api_1 }, true),
        ] {
            assert_eq!(is_excused(&attempt, &[fault]), excused, "{attempt:?} {fault:?}");
        }
    }
}
