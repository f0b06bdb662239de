//! The report of a run of schedules, in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use super::figures::{Figures, OfSchedule};
use crate::fault_suite::fault::Kind;
use crate::fault_suite::invariants::Violation;

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
    /// For how long of that faults came.
    pub under_faults: Duration,
    /// How many faults of each kind took effect.
    pub faults: BTreeMap<Kind, usize>,
    /// What was planned and did not take effect.
    pub left_out: Vec<String>,
    /// Which programs were asked to end and did so otherwise than in order.
    pub ended_otherwise: Vec<String>,
    /// The numbers.
    pub figures: Figures,
    /// What is broken.
    pub violations: Vec<Violation>,
    /// What a long run must have shown, and this one has not.
    pub shortfalls: Vec<String>,
}

/// What a long run must show.
const UNDER_FAULTS_LEAST: Duration = Duration::from_mins(10);
const FAULTS_LEAST: usize = 50;
const KINDS_LEAST: usize = 14;
const KILLED_LEAST: usize = 3;
const RUNS_LEAST: usize = 1_000;
const LOST_LEAST: usize = 20;

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
        let of_kind = |kind| self.faults.get(&kind).copied().unwrap_or(0);
        let not_run = |reason| usize::try_from(self.figures.not_run(reason)).unwrap_or(0);
        let seconds = |duration: Duration| usize::try_from(duration.as_secs()).unwrap_or(usize::MAX);
        let needs = [
            ("seconds under faults", seconds(self.under_faults), seconds(UNDER_FAULTS_LEAST)),
            ("faults that took effect", self.faults.values().sum(), FAULTS_LEAST),
            ("kinds of faults", self.faults.len(), KINDS_LEAST),
            ("schedulers killed", of_kind(Kind::KilledProgram), KILLED_LEAST),
            ("runs", self.figures.sum(|schedule| schedule.runs), RUNS_LEAST),
            ("leases lost", self.figures.sum(|schedule| schedule.lost), LOST_LEAST),
            ("runs side by side", self.figures.side_by_side, 1),
            ("instants missed", not_run("missed"), 1),
            ("instants skipped", not_run("skipped"), 1),
            ("instants paused", not_run("paused"), 1),
        ];
        let missing = needs.into_iter().filter(|(_, count, least)| count < least);
        missing.map(|(what, count, least)| format!("{count} {what}, and not {least} or more")).collect()
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let verdict = match (self.violations.is_empty(), self.shortfalls.is_empty()) {
            (true, true) => "every promise holds",
            (true, false) => "RED: every promise holds, but it shows too little",
            (false, _) => "RED",
        };
        writeln!(text, "# Schedules under faults: {verdict}\n")?;
        writeln!(text, "Repeat with `{}`.\n", self.command)?;
        let minutes =
            |duration: Duration| format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60);
        let (took, under_faults) = (minutes(self.took), minutes(self.under_faults));
        writeln!(text, "- seed {}, {took}, {under_faults} of them under faults", self.seed)?;
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
        let total: usize = self.faults.values().sum();
        writeln!(text, "\n## Faults that took effect: {total} of {} kinds\n", self.faults.len())?;
        for (kind, count) in &self.faults {
            writeln!(text, "- {count} × {}", kind.words())?;
        }
        for words in &self.left_out {
            writeln!(text, "- left out: {words}")?;
        }
        for words in &self.ended_otherwise {
            writeln!(text, "- asked to end in order, and ended otherwise: {words}")?;
        }
        Ok(())
    }

    fn write_counts(&self, text: &mut String) -> std::fmt::Result {
        let figures = &self.figures;
        writeln!(text, "\n## Counts\n")?;
        writeln!(
            text,
            "| schedule | due | overlap | instants | runs | missed | skipped | paused | succeeded | failed | attempts | leases lost |"
        )?;
        writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|---|")?;
        for OfSchedule { trial, instants, runs, gaps, succeeded, failed, attempts, lost } in
            &figures.schedules
        {
            let [missed, skipped, paused] = gaps;
            writeln!(
                text,
                "| {} | `{}` | {} | {instants} | {runs} | {missed} | {skipped} | {paused} | {succeeded} | {failed} | {attempts} | {lost} |",
                trial.key,
                trial.timetable,
                trial.overlap.as_str()
            )?;
        }
        let sum = |of: fn(&OfSchedule) -> usize| figures.sum(of);
        let not_run = |reason| figures.not_run(reason);
        writeln!(
            text,
            "| **all** | | | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            sum(|schedule| schedule.instants),
            sum(|schedule| schedule.runs),
            not_run("missed"),
            not_run("skipped"),
            not_run("paused"),
            sum(|schedule| schedule.succeeded),
            sum(|schedule| schedule.failed),
            sum(|schedule| schedule.attempts),
            sum(|schedule| schedule.lost)
        )?;
        writeln!(
            text,
            "\n- attempts that were followed by another, by the kind of their error: {:?}",
            figures.retried
        )?;
        let Figures { renewals, after_their_lease, side_by_side, on_waking, lines, .. } = figures;
        writeln!(text, "- {renewals} times a lease was renewed")?;
        writeln!(text, "- {side_by_side} attempts began beside another run of a schedule that allows it")?;
        writeln!(
            text,
            "- {after_their_lease} outcomes were written after their lease had ended, and before anybody else had the run"
        )?;
        writeln!(text, "- {on_waking} attempts stood still, lost their lease, and said a word on waking")?;
        writeln!(text, "- {lines} lines were written by attempts")
    }
}
