//! What was found, held against the limits of the issue.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use test_support::distribution::Distribution;
use test_support::machine::load;

/// The verdicts so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    missed: Vec<String>,
}

/// How long the rounds of one kind took, for so many events each.
#[derive(Debug)]
pub(crate) struct Rounds {
    durations: Vec<Duration>,
}

impl Rounds {
    pub(crate) const fn new() -> Self {
        Self { durations: Vec::new() }
    }

    pub(crate) fn median(&self) -> Duration {
        Distribution::of(self.durations.clone()).median()
    }

    pub(crate) fn push(&mut self, duration: Duration) {
        self.durations.push(duration);
    }

    /// Events a second in the median round.
    pub(crate) fn rate(&self, events: usize) -> f64 {
        per_second(events, self.median())
    }

    /// Events a second in each round.
    pub(crate) fn rates(&self, events: usize) -> String {
        let rates = self.durations.iter().map(|duration| format!("{:.0}", per_second(events, *duration)));
        rates.collect::<Vec<_>>().join(" ")
    }
}

pub(crate) fn per_second(events: usize, duration: Duration) -> f64 {
    f64::from(u32::try_from(events).unwrap()) / duration.as_secs_f64()
}

impl Report {
    /// The rate of `ours` must reach `percent_min` of that of `limit`; each with what it is called.
    pub(crate) fn compare(
        &mut self,
        what: &str,
        events: usize,
        (limit_name, limit): (&str, &Rounds),
        (name, ours): (&str, &Rounds),
        percent_min: u32,
    ) {
        println!("{what}: {limit_name}, events a second by round: {}", limit.rates(events));
        println!("{what}: {name}, events a second by round: {}", ours.rates(events));
        let (limit, ours) = (limit.rate(events), ours.rate(events));
        let percent = 100.0 * ours / limit;
        let words = format!(
            "{what}: {ours:.0} of {limit:.0} events a second are {percent:.1} %, at least {percent_min} % are asked for"
        );
        self.say(words, percent >= f64::from(percent_min));
    }

    /// `value` must be below `limit`.
    pub(crate) fn below(&mut self, what: &str, value: Duration, limit: Duration) {
        let milliseconds = value.as_secs_f64() * 1_000.0;
        self.say(format!("{what}: {milliseconds:.1} ms, less than {limit:?} are asked for"), value < limit);
    }

    /// `value` kB must not be above `limit` kB.
    pub(crate) fn at_most_kilobytes(&mut self, what: &str, value: usize, limit: usize) {
        self.say(format!("{what}: {value} kB, at most {limit} kB are asked for"), value <= limit);
    }

    /// All requests of `seconds` must have been answered with 201, the last one hardly late: else the figures mean nothing.
    pub(crate) fn kept_pace(
        &mut self,
        what: &str,
        answers: &BTreeMap<u16, usize>,
        took: Duration,
        seconds: u32,
    ) {
        let in_time = took < Duration::from_secs(seconds.into()) + Duration::from_secs(2);
        let words = format!(
            "{what} for {seconds} s: answers by status {answers:?}, the last after {:.1} s",
            took.as_secs_f64()
        );
        self.say(words, in_time && answers.keys().all(|status| *status == 201));
    }

    fn say(&mut self, words: String, holds: bool) {
        println!("{} {words}; load {}", if holds { "[ok]    " } else { "[MISSED]" }, load());
        if !holds {
            self.missed.push(words);
        }
    }

    /// The exit code.
    pub(crate) fn judge(&self) -> ExitCode {
        if self.missed.is_empty() {
            println!("every limit is kept");
            return ExitCode::SUCCESS;
        }
        println!("{} missed:\n{}", self.missed.len(), self.missed.join("\n"));
        ExitCode::FAILURE
    }
}
