//! What the suite notes while it works: when which faults were there, whom they excuse, what it did itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::fault::{Excuse, Fault};
use super::load::Attempt;

/// How long after a fault a request may still fail of it: a pool gives up connections of which nothing comes back, and a
/// request waits three seconds for one.
const AFTERMATH: Duration = Duration::from_secs(5);

/// The notes of one run.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Noted>);

/// What was noted.
#[derive(Debug, Clone, Default)]
pub struct Noted {
    /// Each fault, from when and until when.
    pub faults: Vec<Span>,
    /// How many unreadable messages are surely in quarantine.
    pub poison: usize,
    /// How many unreadable messages more may be there.
    pub poison_unsure: usize,
    /// How many messages waited in the queue of the trail when it was deleted; those in the hands of consumers are not counted.
    pub deleted: u64,
    /// Which programs were asked to end and did so otherwise than in order: a server may have been away.
    pub ended_otherwise: Vec<String>,
    /// What the suite itself could not do, though it must: then the run says less than it seems to.
    pub broke: Vec<String>,
    /// What could not be done.
    pub left_out: Vec<String>,
    /// Which programs ended by themselves and were started again, with their last words.
    pub ended_by_itself: Vec<String>,
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
    /// What came of it.
    pub effect: Effect,
}

/// What came of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that anybody could feel: a link without a connection can't be cut.
    Nothing,
    /// It broke off in the middle: it counts as none, and somebody may have felt it.
    Part,
    /// What it is for.
    Whole,
}

impl Notes {
    /// A fault begins; gives its place. Until more is known it is one that broke off.
    pub fn begins(&self, fault: Fault) -> usize {
        self.change(|noted| {
            noted.faults.push(Span { fault, from: Instant::now(), until: None, effect: Effect::Part });
            noted.faults.len() - 1
        })
    }

    /// What came of the fault at that place.
    pub fn came_of(&self, place: usize, effect: Effect) {
        self.change(|noted| noted.faults[place].effect = effect);
    }

    /// The fault at that place is put right.
    pub fn ends(&self, place: usize) {
        self.change(|noted| noted.faults[place].until = Some(Instant::now()));
    }

    /// Unreadable messages were published; if nobody saw them in quarantine, they may come there yet, or be lost with a
    /// queue.
    pub fn poisoned(&self, messages: usize, is_quarantined: bool) {
        self.change(|noted| {
            let count = if is_quarantined { &mut noted.poison } else { &mut noted.poison_unsure };
            *count += messages;
        });
    }

    /// A queue was deleted with so many messages in it.
    pub fn deleted(&self, messages: u32) {
        self.change(|noted| noted.deleted += u64::from(messages));
    }

    /// A program was asked to end, and did not do so in order.
    pub fn ended_otherwise(&self, words: &str) {
        self.change(|noted| noted.ended_otherwise.push(words.to_owned()));
    }

    /// The suite could not do what it must.
    pub fn broke(&self, words: &str) {
        self.change(|noted| noted.broke.push(words.to_owned()));
    }

    /// Something could not be done.
    pub fn left_out(&self, words: &str) {
        self.change(|noted| noted.left_out.push(words.to_owned()));
    }

    /// A program ended though nobody had asked it to; the end of its log says why.
    pub fn ended_by_itself(&self, program: &str, log: &str) {
        let last_words = log.lines().last().unwrap_or("without a word");
        self.change(|noted| noted.ended_by_itself.push(format!("{program}: {last_words}")));
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
    /// The faults that took effect.
    pub fn took_effect(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().filter(|span| span.effect == Effect::Whole).map(|span| span.fault)
    }
}

/// Whether a fault explains why a request failed. One that was left out explains nothing.
pub fn is_excused(attempt: &Attempt, faults: &[Span]) -> bool {
    faults.iter().filter(|span| span.effect != Effect::Nothing).any(|span| {
        let concerns = match span.fault.excuses() {
            Excuse::Nobody => false,
            Excuse::Replica(number) => number == attempt.replica,
            Excuse::Everybody => true,
        };
        concerns && span.is_about(attempt, AFTERMATH)
    })
}

/// Whether a request was made while a fault of the broker was there, and no other that would excuse it: these must succeed.
pub fn needs_no_broker(attempt: &Attempt, faults: &[Span]) -> bool {
    let mut of_the_broker =
        faults.iter().filter(|span| span.effect == Effect::Whole && span.fault.is_of_the_broker());
    of_the_broker.any(|span| span.is_about(attempt, Duration::ZERO)) && !is_excused(attempt, faults)
}

impl Span {
    /// Whether it was there during the attempt, or not longer before than `aftermath`.
    fn is_about(&self, attempt: &Attempt, aftermath: Duration) -> bool {
        attempt.ended >= self.from && self.until.is_none_or(|until| attempt.began <= until + aftermath)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::PROGRAMS;
    use super::super::load::Act;
    use super::*;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_secs(seconds)
    }

    fn attempt(replica: usize, began: u64, ended: u64) -> Attempt {
        let (began, ended) = (at(began), at(ended));
        Attempt { name: String::new(), act: Act::Create, replica, began, ended, status: None }
    }

    fn span(fault: Fault) -> Span {
        Span { fault, from: at(100), until: Some(at(110)), effect: Effect::Whole }
    }

    #[test]
    fn a_failed_request_is_excused_only_by_a_fault_that_concerns_it_at_that_time() {
        let api_1 = span(Fault::KilledProgram(PROGRAMS[0]));
        for (attempt, fault, excused) in [
            (attempt(1, 105, 106), api_1, true),
            (attempt(2, 105, 106), api_1, false),
            (attempt(1, 90, 99), api_1, false),
            (attempt(1, 90, 101), api_1, true),
            (attempt(1, 114, 119), api_1, true),
            (attempt(1, 116, 117), api_1, false),
            (attempt(2, 105, 106), span(Fault::KilledPostgres), true),
            (attempt(1, 105, 106), span(Fault::KilledRabbitmq(0)), false),
            (attempt(1, 500, 501), Span { until: None, ..api_1 }, true),
            (attempt(1, 105, 106), Span { effect: Effect::Nothing, ..api_1 }, false),
            (attempt(1, 105, 106), Span { effect: Effect::Part, ..api_1 }, true),
            (attempt(2, 105, 106), Span { effect: Effect::Nothing, ..span(Fault::KilledPostgres) }, false),
            (attempt(2, 105, 106), Span { effect: Effect::Part, ..span(Fault::KilledPostgres) }, true),
        ] {
            assert_eq!(is_excused(&attempt, &[fault]), excused, "{attempt:?} {fault:?}");
        }
    }

    #[test]
    fn a_request_shows_that_it_needs_no_broker_if_only_the_broker_was_hit_meanwhile() {
        let (broker, api_1) = (span(Fault::KilledRabbitmq(0)), span(Fault::KilledProgram(PROGRAMS[0])));
        for (attempt, faults, shows) in [
            (attempt(1, 105, 106), vec![broker], true),
            (attempt(1, 90, 99), vec![broker], false),
            (attempt(1, 111, 112), vec![broker], false),
            (attempt(1, 105, 106), vec![broker, api_1], false),
            (attempt(2, 105, 106), vec![broker, api_1], true),
            (attempt(2, 105, 106), vec![api_1], false),
            (attempt(1, 105, 106), vec![Span { effect: Effect::Nothing, ..broker }], false),
            (attempt(1, 105, 106), vec![Span { effect: Effect::Part, ..broker }], false),
            (attempt(1, 105, 106), vec![broker, Span { effect: Effect::Nothing, ..api_1 }], true),
            (attempt(1, 105, 106), vec![broker, Span { effect: Effect::Part, ..api_1 }], false),
        ] {
            assert_eq!(needs_no_broker(&attempt, &faults), shows, "{attempt:?} {faults:?}");
        }
    }
}
