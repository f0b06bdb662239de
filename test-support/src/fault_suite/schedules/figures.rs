//! What a run of schedules has shown, in numbers. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::history::{Gap, History, Transition};
use super::leases;
use super::trial::{TRIALS, Trial};

/// Of one schedule.
#[derive(Debug, Clone, Copy)]
pub struct OfSchedule {
    /// Which.
    pub trial: &'static Trial,
    /// How many instants it named.
    pub instants: usize,
    /// How many of them were run.
    pub runs: usize,
    /// How many were missed, skipped, paused.
    pub gaps: [i64; 3],
    /// How many runs succeeded.
    pub succeeded: usize,
    /// How many failed.
    pub failed: usize,
    /// How many attempts there were.
    pub attempts: usize,
    /// How many of those lost their lease.
    pub lost: usize,
}

/// The reasons of gaps, in the order of [`OfSchedule::gaps`].
pub const REASONS: [&str; 3] = ["missed", "skipped", "paused"];

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Each schedule.
    pub schedules: Vec<OfSchedule>,
    /// How many attempts were to be followed by another, by the kind of their error.
    pub retried: BTreeMap<String, usize>,
    /// How often a lease was renewed.
    pub renewals: usize,
    /// How many outcomes were written after their lease had ended, and before anybody took the run.
    pub after_their_lease: usize,
    /// How many attempts began while another run of a schedule that allows it was under way.
    pub side_by_side: usize,
    /// How many attempts that had lost their lease said a word on waking.
    pub on_waking: usize,
    /// How many lines attempts have written.
    pub lines: usize,
}

impl Figures {
    /// Counts.
    pub fn of(history: &History) -> Self {
        let mut retried = BTreeMap::new();
        let of_state = |state: &'static str| {
            history.transitions.iter().filter(move |transition| {
                transition.old_state.as_deref() == Some("running") && transition.state == state
            })
        };
        for transition in of_state("retrying") {
            *retried.entry(transition.error_kind.clone().unwrap_or_default()).or_default() += 1;
        }
        let is_late = |transition: &&Transition| {
            transition.ends_an_attempt()
                && !transition.is_a_rescue()
                && transition.old_lease_until.is_some_and(|until| until < transition.at)
        };
        Self {
            schedules: TRIALS.iter().map(|trial| of_schedule(trial, history)).collect(),
            retried,
            renewals: of_state("running").count(),
            after_their_lease: history.transitions.iter().filter(is_late).count(),
            side_by_side: side_by_side(&history.transitions),
            on_waking: leases::went_on(history).on_waking,
            lines: history.diary.len(),
        }
    }

    /// The sum of something over all schedules.
    pub fn sum(&self, of: impl Fn(&OfSchedule) -> usize) -> usize {
        self.schedules.iter().map(of).sum()
    }

    /// How many instants lie in gaps of a reason.
    pub fn not_run(&self, reason: &str) -> i64 {
        let place = REASONS.iter().position(|one| *one == reason);
        place.map_or(0, |place| self.schedules.iter().map(|schedule| schedule.gaps[place]).sum())
    }
}

fn of_schedule(trial: &'static Trial, history: &History) -> OfSchedule {
    let progress = history.progress.iter().find(|progress| progress.schedule == trial.key);
    let instants = progress.map_or(0, |progress| trial.instants(progress.from, progress.until).len());
    let runs = || history.runs.iter().filter(|run| run.schedule == trial.key);
    let of_state = |state: &str| runs().filter(|run| run.state == state).count();
    let gaps = REASONS.map(|reason| {
        let of_it = |gap: &&Gap| gap.schedule == trial.key && gap.reason == reason;
        history.gaps.iter().filter(of_it).map(|gap| gap.instants).sum()
    });
    let transitions = || history.transitions.iter().filter(|transition| transition.schedule == trial.key);
    OfSchedule {
        trial,
        instants,
        runs: runs().count(),
        gaps,
        succeeded: of_state("succeeded"),
        failed: of_state("failed"),
        attempts: transitions().filter(|transition| is_a_claim(transition)).count(),
        lost: transitions().filter(|transition| transition.is_a_rescue()).count(),
    }
}

fn is_a_claim(transition: &Transition) -> bool {
    transition.state == "running" && transition.old_state.as_deref() == Some("queued")
}

fn side_by_side(transitions: &[Transition]) -> usize {
    let mut running: HashMap<&str, HashSet<Uuid>> = HashMap::new();
    let mut count = 0;
    for transition in transitions.iter().filter(|transition| !transition.is_exclusive) {
        let running = running.entry(&transition.schedule).or_default();
        running.remove(&transition.run);
        if transition.state == "running" {
            count += usize::from(is_a_claim(transition) && !running.is_empty());
            running.insert(transition.run);
        }
    }
    count
}
