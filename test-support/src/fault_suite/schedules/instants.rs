//! Whether every instant of a schedule has exactly one run or lies in exactly one gap. Pure.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::history::{Gap, History, Progress};
use super::trial::Trial;

/// What is wrong with the answers to a trial's instants; all of those up to `owed_until` are owed, but for what its jitter puts
/// off, and none that its schedule has not come to.
pub fn unanswered(trial: &Trial, history: &History, owed_until: DateTime<Utc>) -> Vec<String> {
    let key = trial.key;
    let Some(progress) = history.progress.iter().find(|progress| progress.schedule == key) else {
        return vec![format!("{key}: there is no such schedule")];
    };
    let mut runs: BTreeMap<DateTime<Utc>, usize> = BTreeMap::new();
    for run in history.runs.iter().filter(|run| run.schedule == key) {
        *runs.entry(run.scheduled_at).or_default() += 1;
    }
    let gaps: Vec<&Gap> = history.gaps.iter().filter(|gap| gap.schedule == key).collect();
    let Progress { from, until, .. } = progress;
    let instants = trial.instants(*from, (*until).max(owed_until - trial.jitter()));
    let mut found = Vec::new();
    let mut counted = vec![0_i64; gaps.len()];
    for instant in instants {
        let in_run = runs.remove(&instant).unwrap_or(0);
        let lies_in = |gap: &&Gap| (gap.first_at..=gap.last_at).contains(&instant);
        let in_gaps = gaps.iter().filter(|gap| lies_in(gap)).count();
        if in_run + in_gaps != 1 {
            found.push(format!("{key} at {instant}: {in_run} runs, {in_gaps} gaps"));
        }
        for (counted, gap) in counted.iter_mut().zip(&gaps) {
            *counted += i64::from(lies_in(gap));
        }
    }
    found.extend(runs.keys().map(|instant| format!("{key} at {instant}: a run that no instant asks for")));
    for (gap, counted) in gaps.iter().zip(counted).filter(|(gap, counted)| gap.instants != *counted) {
        let Gap { first_at, last_at, instants, .. } = gap;
        found.push(format!("{key}: a gap of {instants} from {first_at} to {last_at}, which are {counted}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use uuid::Uuid;

    use super::super::history::Run;
    use super::super::trial::TRIALS;
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_796_000_000 + second, 0).unwrap()
    }

    fn run(second: i64) -> Run {
        let schedule = TRIALS[0].key.to_owned();
        Run { id: Uuid::nil(), schedule, scheduled_at: at(second), state: "succeeded".to_owned(), attempt: 1 }
    }

    fn gap(first: i64, last: i64) -> Gap {
        let (schedule, reason) = (TRIALS[0].key.to_owned(), "missed".to_owned());
        Gap { schedule, first_at: at(first), last_at: at(last), instants: last - first + 1, reason }
    }

    /// Ten seconds: 1, 2, 3 were run, 4 to 7 were not, 8, 9, 10 were run.
    fn well() -> History {
        let progress = Progress { schedule: TRIALS[0].key.to_owned(), from: at(0), until: at(10) };
        let runs = [1, 2, 3, 8, 9, 10].map(run).to_vec();
        History { progress: vec![progress], runs, gaps: vec![gap(4, 7)], ..History::default() }
    }

    fn found(history: &History) -> Vec<String> {
        unanswered(&TRIALS[0], history, at(10))
    }

    #[test]
    fn where_every_instant_has_one_answer_nothing_is_found() {
        assert_eq!(found(&well()), Vec::<String>::new());
    }

    #[test]
    fn an_instant_without_an_answer_with_two_and_an_answer_without_an_instant_are_found() {
        let broken = |change: &dyn Fn(&mut History)| {
            let mut history = well();
            change(&mut history);
            found(&history)
        };
        for (found, words) in [
            (broken(&|history| drop(history.runs.remove(1))), "0 runs, 0 gaps"),
            (broken(&|history| history.runs.push(run(9))), "2 runs, 0 gaps"),
            (broken(&|history| history.runs.push(run(5))), "1 runs, 1 gaps"),
            (broken(&|history| history.gaps.push(gap(6, 6))), "0 runs, 2 gaps"),
            (broken(&|history| history.gaps.clear()), "0 runs, 0 gaps"),
            (broken(&|history| history.gaps[0].instants += 1), "a gap of 5"),
            (broken(&|history| history.runs.push(run(0))), "no instant asks for"),
            (broken(&|history| history.runs.push(run(11))), "no instant asks for"),
            (
                broken(&|history| history.runs[0].scheduled_at += TimeDelta::milliseconds(1)),
                "no instant asks for",
            ),
            // Nobody has ticked for the last three seconds.
            (
                broken(&|history| {
                    history.progress[0].until = at(7);
                    history.runs.truncate(3);
                }),
                "0 runs, 0 gaps",
            ),
            (broken(&|history| history.progress.clear()), "no such schedule"),
        ] {
            assert!(found.iter().any(|violation| violation.contains(words)), "{words}: {found:?}");
        }
    }

    #[test]
    fn what_its_jitter_puts_off_is_not_owed_yet() {
        let trial = Trial { jitter: std::time::Duration::from_secs(3), ..TRIALS[0] };
        let mut history = well();
        history.progress[0].until = at(7);
        history.runs.truncate(3);
        assert_eq!(unanswered(&trial, &history, at(10)), Vec::<String>::new());
        assert_eq!(unanswered(&trial, &history, at(11)).len(), 1);
    }
}
