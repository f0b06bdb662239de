//! Whether anything was written by an attempt that had lost its lease: an outcome to the database, or anything at all to the diary.
//! Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::diary::{Line, Word};
use super::history::{History, Transition};
use super::overlap::Awakenings;

/// One attempt of a run.
type Attempt = (Uuid, i32);

/// Outcomes that were not the claim's to write: under another's number, after the attempt had been given up, by somebody else, or of
/// an attempt that says otherwise of itself.
pub fn foreign_outcomes(history: &History) -> Vec<String> {
    let mut said: HashMap<Attempt, Vec<&Line>> = HashMap::new();
    for line in &history.diary {
        said.entry((line.run, line.attempt)).or_default().push(line);
    }
    let mut ended: HashSet<Attempt> = HashSet::new();
    let mut found = Vec::new();
    for transition in history.transitions.iter().filter(|transition| transition.ends_an_attempt()) {
        let Transition { run, attempt, state, at, writer, .. } = transition;
        let words =
            |what: &str| format!("run {run} at {at}: {state} by {writer} under attempt {attempt}, {what}");
        if transition.old_attempt != Some(*attempt) {
            found.push(words("which was not the claim's"));
        }
        if !ended.insert((*run, *attempt)) {
            found.push(words("which had been given up"));
        }
        if transition.is_a_rescue() {
            if transition.old_lease_until.is_none_or(|until| until > *at) {
                found.push(words("whose lease still held"));
            }
            continue;
        }
        let none = Vec::new();
        let said = said.get(&(*run, *attempt)).unwrap_or(&none);
        let mine: Vec<&Line> = said.iter().copied().filter(|line| is_holder(transition, line.pid)).collect();
        if !is_backed(transition, &mine) {
            found.push(words(&format!("of which its holder says {:?}", mine.last().map(|line| line.word))));
        }
    }
    found
}

/// Whether a process is the one that had the claim, and whoever wrote is that instance.
fn is_holder(transition: &Transition, pid: u32) -> bool {
    let claim = transition.worker.as_deref().and_then(|worker| worker.rsplit_once('/'));
    claim.is_some_and(|(instance, number)| instance == transition.writer && number == pid.to_string())
}

/// Whether what an attempt said of itself, before its outcome was written, is that outcome.
fn is_backed(transition: &Transition, said: &[&Line]) -> bool {
    let has_said = |word| said.iter().any(|line| line.word == word && line.at <= transition.at);
    match (transition.state.as_str(), transition.error_kind.as_deref()) {
        ("succeeded", _) => has_said(Word::Done),
        ("retrying" | "failed", Some("passing")) => has_said(Word::Failed),
        ("retrying" | "failed", Some("panicked")) => has_said(Word::Panicked),
        // It may come to its end while its time runs out.
        ("retrying" | "failed", Some("timed_out")) => has_said(Word::Begins),
        _ => false,
    }
}

/// When attempts were given up because their lease had run out.
pub fn rescues(transitions: &[Transition]) -> BTreeMap<Attempt, DateTime<Utc>> {
    let rescues = transitions.iter().filter(|transition| transition.is_a_rescue());
    rescues.filter_map(|rescue| Some(((rescue.run, rescue.old_attempt?), rescue.at))).collect()
}

/// Attempts that went on after they had been given up, and those of them that had only just woken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct WentOn {
    /// By themselves: each with its last line.
    pub by_themselves: Vec<String>,
    /// How many had stood still, and said a word before they noticed.
    pub on_waking: usize,
}

/// Finds them in the diary.
pub fn went_on(history: &History) -> WentOn {
    let (rescues, awakenings) = (rescues(&history.transitions), Awakenings::of(&history.diary));
    let (mut last, mut on_waking) = (BTreeMap::<Attempt, &Line>::new(), BTreeSet::new());
    for line in &history.diary {
        let attempt = (line.run, line.attempt);
        if rescues.get(&attempt).is_some_and(|rescue| line.at > *rescue) {
            if awakenings.excuse(line) {
                on_waking.insert(attempt);
            } else {
                last.insert(attempt, line);
            }
        }
    }
    let words = |((run, attempt), line): (&Attempt, &&Line)| {
        let late = line.at - rescues[&(*run, *attempt)];
        let Line { schedule, pid, .. } = line;
        format!("{schedule}: attempt {attempt} of {run} in {pid} until {late} after it was given up")
    };
    WentOn { by_themselves: last.iter().map(words).collect(), on_waking: on_waking.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_796_000_000_000 + milliseconds).unwrap()
    }

    fn outcome(milliseconds: i64, state: &str, kind: Option<&str>) -> Transition {
        Transition {
            run: Uuid::from_u128(1),
            schedule: "secondly".to_owned(),
            is_exclusive: false,
            old_state: Some("running".to_owned()),
            state: state.to_owned(),
            old_attempt: Some(1),
            attempt: 1,
            attempts_max: 3,
            worker: Some("suite-scheduler-1/10".to_owned()),
            writer: "suite-scheduler-1".to_owned(),
            error_kind: kind.map(str::to_owned),
            old_lease_until: Some(at(30_000)),
            at: at(milliseconds),
        }
    }

    fn line(milliseconds: i64, word: Word) -> Line {
        let (run, schedule) = (Uuid::from_u128(1), "secondly".to_owned());
        Line { at: at(milliseconds), word, run, schedule, attempt: 1, pid: 10 }
    }

    fn found(outcomes: &[Transition], said: &[Line]) -> Vec<String> {
        let (transitions, diary) = (outcomes.to_vec(), said.to_vec());
        foreign_outcomes(&History { transitions, diary, ..History::default() })
    }

    #[test]
    fn an_outcome_that_its_attempt_says_of_itself_is_in_order() {
        use Word::{Begins, Cut, Done, Failed, Panicked};
        for (state, kind, word) in [
            ("succeeded", None, Done),
            ("retrying", Some("passing"), Failed),
            ("failed", Some("panicked"), Panicked),
            ("retrying", Some("timed_out"), Cut),
        ] {
            let said = [line(0, Begins), line(100, word)];
            assert_eq!(found(&[outcome(101, state, kind)], &said), Vec::<String>::new(), "{state}");
        }
        let rescue = outcome(30_001, "retrying", Some("lease_lost"));
        assert_eq!(found(&[rescue], &[line(0, Begins)]), Vec::<String>::new());
    }

    #[test]
    fn an_outcome_that_is_another_attempts_is_found() {
        use Word::{Begins, Done};
        let said = [line(0, Begins), line(100, Done)];
        let right = outcome(101, "succeeded", None);
        let by = |worker: &str, writer: &str| Transition {
            worker: Some(worker.to_owned()),
            writer: writer.to_owned(),
            ..right.clone()
        };
        for (wrong, words) in [
            (Transition { attempt: 2, ..right.clone() }, "not the claim's"),
            (by("suite-scheduler-2/20", "suite-scheduler-1"), "holder says None"),
            (by("suite-scheduler-1/11", "suite-scheduler-1"), "holder says None"),
            (by("suite-scheduler-1/10", "suite-scheduler-2"), "holder says None"),
            (outcome(99, "succeeded", None), "holder says Some(Done)"),
            (outcome(101, "failed", Some("passing")), "holder says Some(Done)"),
            (outcome(-1, "failed", Some("timed_out")), "holder says Some(Done)"),
            (outcome(101, "failed", Some("canceled")), "holder says Some(Done)"),
            (outcome(29_999, "failed", Some("lease_lost")), "still held"),
        ] {
            let found = found(std::slice::from_ref(&wrong), &said);
            assert!(found.iter().any(|violation| violation.contains(words)), "{words}: {found:?}");
        }
        let after = [outcome(30_001, "retrying", Some("lease_lost")), outcome(30_500, "succeeded", None)];
        assert!(found(&after, &said)[0].contains("had been given up"));
    }

    #[test]
    fn an_attempt_that_goes_on_without_a_lease_is_found_unless_it_had_stood_still() {
        let transitions = vec![outcome(30_500, "retrying", Some("lease_lost"))];
        let with = |diary: Vec<Line>| {
            went_on(&History { transitions: transitions.clone(), diary, ..History::default() })
        };
        let beats = |from: i64, until: i64| (from / 50..until / 50).map(|beat| line(beat * 50, Word::Beats));
        assert_eq!(with(beats(0, 30_000).collect()), WentOn::default());
        let went = with(beats(0, 36_000).collect());
        assert_eq!((went.by_themselves.len(), went.on_waking), (1, 0));
        let woke = with(beats(0, 10_000).chain(beats(35_000, 35_100)).collect());
        assert_eq!((woke.by_themselves.len(), woke.on_waking), (0, 1));
        let stayed = with(beats(0, 10_000).chain(beats(35_000, 37_000)).collect());
        assert_eq!((stayed.by_themselves.len(), stayed.on_waking), (1, 1));
    }
}
