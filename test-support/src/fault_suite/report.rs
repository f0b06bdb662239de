//! The report of a run, in Markdown: Jepsen's counts, what was injected, what was seen, the verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::account::Counts;
use super::committed::LeftOver;
use super::evidence::Evidence;
use super::invariants::{Observed, Violation};
use super::targets::Hits;

/// What a report tells.
#[derive(Debug, Clone)]
pub struct Report {
    /// How to repeat the run.
    pub command: String,
    /// The seed.
    pub seed: u64,
    /// Of Warren and the servers, and the machine.
    pub versions: Vec<String>,
    /// How long it took.
    pub took: Duration,
    /// The faults that took effect.
    pub faults: Hits,
    /// What was planned and did not take effect.
    pub left_out: Vec<String>,
    /// Which programs were asked to end and did so otherwise than in order.
    pub ended_otherwise: Vec<String>,
    /// How many messages waited in the queue of the trail when it was deleted; those in the hands of consumers are not counted.
    pub deleted: u64,
    /// How many events the consumers were given again, as far as their metrics were seen.
    pub given_again: u64,
    /// Answers by status; 0 stands for none.
    pub statuses: BTreeMap<u16, usize>,
    /// How many requests failed with an excuse.
    pub excused: usize,
    /// How far the trail was behind at most.
    pub longest_behind: Duration,
    /// How many requests were made while the broker was hit and nothing else that concerned them.
    pub without_broker: usize,
    /// How long the longest of them took.
    pub longest_without_broker: Duration,
    /// What was there in the end.
    pub evidence: Evidence,
    /// What was seen meanwhile.
    pub observed: Observed,
    /// What is broken.
    pub violations: Vec<Violation>,
    /// What a long run must have shown, and this one has not.
    pub shortfalls: Vec<String>,
}

/// What a long run must show (the first figures are those of issue 6).
const FAULTS_LEAST: usize = 200;
const KINDS_LEAST: usize = 10;
const EVENTS_LEAST: usize = 500_000;
const WITHOUT_BROKER_LEAST: usize = 1_000;

impl Report {
    /// In Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a text can't fail.
        let _ = self.write(&mut text);
        text
    }

    /// Whether it is as it must be.
    pub fn is_well(&self) -> bool {
        self.violations.is_empty() && self.shortfalls.is_empty()
    }

    /// In what it falls short of a long run.
    pub fn short_of_a_long_run(&self) -> Vec<String> {
        let kinds = self.faults.by_kind();
        let needs = [
            ("faults that took effect", kinds.values().sum(), FAULTS_LEAST),
            ("kinds of faults", kinds.len(), KINDS_LEAST),
            ("events", self.evidence.events.counts.ok, EVENTS_LEAST),
            ("messages that came twice", self.evidence.messages.counts.duplicated, 1),
            (
                "messages deleted with the queue of the trail",
                usize::try_from(self.deleted).unwrap_or(usize::MAX),
                1,
            ),
            ("requests made while the broker alone was hit", self.without_broker, WITHOUT_BROKER_LEAST),
        ];
        let missing = needs.into_iter().filter(|(_, count, least)| count < least);
        let missing = missing.map(|(what, count, least)| format!("{count} {what}, and not {least} or more"));
        missing.chain(self.faults.spared().iter().map(|target| format!("no fault upon {target}"))).collect()
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let verdict = match (self.violations.is_empty(), self.shortfalls.is_empty()) {
            (true, true) => "every invariant holds",
            (true, false) => "RED: every invariant holds, but it shows too little",
            (false, _) => "RED",
        };
        writeln!(text, "# Fault suite: {verdict}\n")?;
        writeln!(text, "Repeat with `{}`.\n", self.command)?;
        writeln!(
            text,
            "- seed {}, {} min {} s",
            self.seed,
            self.took.as_secs() / 60,
            self.took.as_secs() % 60
        )?;
        for version in &self.versions {
            writeln!(text, "- {version}")?;
        }
        for violation in &self.violations {
            writeln!(text, "- **{:?}**: {}", violation.invariant, violation.words)?;
        }
        for words in &self.shortfalls {
            writeln!(text, "- **too little**: {words}")?;
        }
        self.write_counts(text)?;
        self.write_faults(text)?;
        self.write_observed(text)
    }

    fn write_counts(&self, text: &mut String) -> std::fmt::Result {
        let evidence = &self.evidence;
        writeln!(text, "\n## Counts\n")?;
        writeln!(
            text,
            "| level | attempted | acknowledged | ok | lost | unexpected | duplicated | recovered |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|")?;
        for (level, counts) in [
            ("messages (a witness queue beside the consumer)", evidence.messages.counts),
            ("effects: events (rows of the trail)", evidence.events.counts),
            ("effects: requests (the load's log, by the trail)", evidence.requests.counts),
        ] {
            let Counts { attempted, acknowledged, ok, lost, unexpected, duplicated, recovered } = counts;
            writeln!(
                text,
                "| {level} | {attempted} | {acknowledged} | {ok} | {lost} | {unexpected} | {duplicated} | {recovered} |"
            )?;
        }
        if evidence.messages.counts.duplicated == 0 {
            writeln!(text, "\nNo message came twice: this run proves nothing about duplicates.")?;
        }
        let Evidence {
            unwitnessed,
            own_copies,
            retried,
            were_parked,
            sent_again,
            overtaken,
            quarantined,
            ..
        } = evidence;
        let LeftOver { waiting, parked, unrecorded } = evidence.left_over;
        writeln!(
            text,
            "\n- {own_copies} more copies were published by the suite itself, {quarantined} messages are in quarantine"
        )?;
        writeln!(text, "- given to the consumers again, those copies included: {}", self.given_again)?;
        writeln!(
            text,
            "- {retried} rows were tried more than once, {overtaken} rows of the trail were overtaken"
        )?;
        writeln!(
            text,
            "- {unwitnessed} messages were sent while the witness had to look away; all are in the trail"
        )?;
        writeln!(text, "- {were_parked} rows were parked for a while because no queue was bound")?;
        writeln!(text, "- sent again because the trail did not get it: {sent_again}")?;
        writeln!(
            text,
            "- left over: {waiting} in the outbox, {parked} parked, {unrecorded} confirmed and not recorded"
        )
    }

    fn write_faults(&self, text: &mut String) -> std::fmt::Result {
        let kinds = self.faults.by_kind();
        let total: usize = kinds.values().sum();
        writeln!(text, "\n## Faults that took effect: {total} of {} kinds\n", kinds.len())?;
        for (kind, count) in &kinds {
            writeln!(text, "- {count} × {}", kind.words())?;
        }
        self.faults.write(text)?;
        writeln!(text)?;
        writeln!(text, "- {} messages waited in the queue of the trail when it was deleted", self.deleted)?;
        for words in &self.left_out {
            writeln!(text, "- left out: {words}")?;
        }
        for words in &self.ended_otherwise {
            writeln!(text, "- asked to end in order, and ended otherwise: {words}")?;
        }
        Ok(())
    }

    fn write_observed(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n## Seen meanwhile\n")?;
        writeln!(text, "- answers by status (0: none came): {:?}", self.statuses)?;
        writeln!(
            text,
            "- requests that failed while the API itself or the database was hit: {}; for no such reason: {}",
            self.excused,
            self.observed.unexcused.len()
        )?;
        writeln!(
            text,
            "- requests made during a fault of the broker without any excuse: {}, the longest took {:.1} s",
            self.without_broker,
            self.longest_without_broker.as_secs_f64()
        )?;
        let seconds = |recovery: &Option<Duration>| {
            recovery.map_or("never".to_owned(), |took| format!("{:.1}", took.as_secs_f64()))
        };
        let recoveries: Vec<String> = self.observed.recoveries.iter().map(seconds).collect();
        writeln!(
            text,
            "- seconds from the end of each burst until the outbox was well: {}",
            recoveries.join(", ")
        )?;
        writeln!(
            text,
            "- seconds by which the trail was behind at most, faults of its servers included: {:.1}",
            self.longest_behind.as_secs_f64()
        )?;
        for (program, kilobytes) in &self.observed.memory {
            writeln!(text, "- {program} held {kilobytes} kB at most")?;
        }
        Ok(())
    }
}
