//! The report of a run, in Markdown: Jepsen's counts, what was injected, what was seen, the verdict.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::account::Counts;
use super::evidence::Evidence;
use super::fault::Kind;
use super::invariants::{Observed, Violation};

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
    /// How many faults of each kind.
    pub faults: BTreeMap<Kind, usize>,
    /// What could not be injected.
    pub left_out: Vec<String>,
    /// Answers by status; 0 stands for none.
    pub statuses: BTreeMap<u16, usize>,
    /// How many requests failed with an excuse.
    pub excused: usize,
    /// How often each program ended by itself.
    pub ended_by_itself: BTreeMap<String, usize>,
    /// What was there in the end.
    pub evidence: Evidence,
    /// What was seen meanwhile.
    pub observed: Observed,
    /// What is broken.
    pub violations: Vec<Violation>,
}

impl Report {
    /// In Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a text can't fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let verdict = if self.violations.is_empty() { "every invariant holds" } else { "RED" };
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
        let Evidence { unwitnessed, own_copies, retried, were_parked, overtaken, quarantined, .. } = evidence;
        writeln!(
            text,
            "\n- {own_copies} more copies were published by the suite itself, {quarantined} messages are in quarantine"
        )?;
        writeln!(
            text,
            "- {retried} rows were tried more than once, {overtaken} rows of the trail were overtaken"
        )?;
        writeln!(
            text,
            "- {unwitnessed} messages were sent while the witness had to look away; all are in the trail"
        )?;
        writeln!(text, "- {were_parked} rows were parked for a while")
    }

    fn write_faults(&self, text: &mut String) -> std::fmt::Result {
        let total: usize = self.faults.values().sum();
        writeln!(text, "\n## Faults: {total} of {} kinds\n", self.faults.len())?;
        for (kind, count) in &self.faults {
            writeln!(text, "- {count} × {}", kind.words())?;
        }
        for words in &self.left_out {
            writeln!(text, "- left out: {words}")?;
        }
        for (program, times) in &self.ended_by_itself {
            writeln!(text, "- {program} ended by itself {times} time(s) and was started again")?;
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
        let seconds = |recovery: &Option<Duration>| {
            recovery.map_or("never".to_owned(), |took| format!("{:.1}", took.as_secs_f64()))
        };
        let recoveries: Vec<String> = self.observed.recoveries.iter().map(seconds).collect();
        writeln!(
            text,
            "- seconds from the end of each burst until the outbox was well: {}",
            recoveries.join(", ")
        )?;
        for (program, kilobytes) in &self.observed.memory {
            writeln!(text, "- {program} held {kilobytes} kB at most")?;
        }
        Ok(())
    }
}
