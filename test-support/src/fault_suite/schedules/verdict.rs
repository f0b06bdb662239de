//! The verdict: which of the promises about schedules the history breaks. Pure.

use chrono::{DateTime, Utc};

use super::history::History;
use super::trial::TRIALS;
use super::{ends, instants, leases, overlap};
use crate::fault_suite::invariants::{Invariant, Violation, listed};

/// What a run saw beside its history.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Up to when instants are owed: everything went again then.
    pub owed_until: DateTime<Utc>,
    /// Which programs ended by themselves, with their last words.
    pub ended_by_itself: Vec<String>,
    /// What the suite could not do or see.
    pub broke: Vec<String>,
}

/// Which promises are broken; none if all is well.
pub fn judge(history: &History, observed: &Observed) -> Vec<Violation> {
    use Invariant::{
        EveryInstantIsAnswered, FaultsAreOutlived, LostLeasesWriteNothing, NothingOverlaps, RunsAreBounded,
        RunsEndOnce, TheSuiteIsWhole,
    };
    let unanswered: Vec<String> =
        TRIALS.iter().flat_map(|trial| instants::unanswered(trial, history, observed.owed_until)).collect();
    let went_on = leases::went_on(history).by_themselves;
    let unreadable = (history.unreadable > 0).then(|| format!("{} lines of the diary", history.unreadable));
    let unreadable: Vec<String> = unreadable.into_iter().collect();
    [
        (EveryInstantIsAnswered, "instants without exactly one answer", unanswered),
        (RunsEndOnce, "steps that no run may take", ends::wrong_ways(history)),
        (RunsEndOnce, "runs that are not told of as they are", ends::untold(history)),
        (NothingOverlaps, "rows that overlap", overlap::in_rows(&history.transitions)),
        (NothingOverlaps, "words of an attempt after a later one began", overlap::in_diary(history)),
        (LostLeasesWriteNothing, "outcomes of others than the claim's", leases::foreign_outcomes(history)),
        (LostLeasesWriteNothing, "attempts that went on without a lease", went_on),
        (RunsAreBounded, "runs with too many attempts or without an end", ends::unbounded(history)),
        (FaultsAreOutlived, "times a program ended by itself", observed.ended_by_itself.clone()),
        (TheSuiteIsWhole, "things broke in the suite itself", observed.broke.clone()),
        (TheSuiteIsWhole, "things nobody can read", unreadable),
    ]
    .into_iter()
    .filter_map(|(invariant, words, found)| Some(Violation { invariant, words: listed(words, &found)? }))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::super::history::Progress;
    use super::*;

    /// Every schedule is there, and owes nothing yet.
    fn well() -> History {
        let progress = |key: &str| Progress {
            schedule: key.to_owned(),
            from: DateTime::UNIX_EPOCH,
            until: DateTime::UNIX_EPOCH,
        };
        let progress = TRIALS.iter().map(|trial| progress(trial.key)).collect();
        History { progress, ..History::default() }
    }

    #[test]
    fn what_a_checker_finds_is_under_its_promise() {
        assert_eq!(judge(&well(), &Observed::default()), []);
        let of = |history: &History, observed: &Observed| -> Vec<Invariant> {
            judge(history, observed).into_iter().map(|violation| violation.invariant).collect()
        };
        let word = || vec!["suite-scheduler-1: a word".to_owned()];
        let none = Observed::default();
        let missing = History { progress: well().progress.split_off(1), ..well() };
        assert_eq!(of(&missing, &none), [Invariant::EveryInstantIsAnswered]);
        let unreadable = History { unreadable: 1, ..well() };
        assert_eq!(of(&unreadable, &none), [Invariant::TheSuiteIsWhole]);
        let ended = Observed { ended_by_itself: word(), ..Observed::default() };
        assert_eq!(of(&well(), &ended), [Invariant::FaultsAreOutlived]);
        let broke = Observed { broke: word(), ..Observed::default() };
        assert_eq!(of(&well(), &broke), [Invariant::TheSuiteIsWhole]);
    }
}
