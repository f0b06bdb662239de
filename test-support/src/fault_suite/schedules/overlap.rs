//! Whether runs of one schedule overlap where they must not: by the rows, and by what attempts wrote of themselves. Pure.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::diary::{Line, Word};
use super::history::{History, Transition};
use super::trial::{Trial, trial};

/// A process of which nothing is heard for so long stood still: its attempts say twenty times a second that they go on.
const STANDSTILL: TimeDelta = TimeDelta::seconds(1);
/// How long what wakes may take to notice that its lease is lost: nothing that stands still can know.
const WAKES_WITHIN: TimeDelta = TimeDelta::seconds(1);

/// When processes woke after they had stood still.
#[derive(Debug)]
pub struct Awakenings(HashMap<u32, Vec<DateTime<Utc>>>);

impl Awakenings {
    /// As the lines of a diary, in the order of their time, tell.
    pub fn of(diary: &[Line]) -> Self {
        let mut last: HashMap<u32, DateTime<Utc>> = HashMap::new();
        let mut awakenings: HashMap<u32, Vec<DateTime<Utc>>> = HashMap::new();
        for line in diary {
            let before = last.insert(line.pid, line.at);
            if before.is_some_and(|before| line.at - before >= STANDSTILL) {
                awakenings.entry(line.pid).or_default().push(line.at);
            }
        }
        Self(awakenings)
    }

    /// Whether a line was written by a process that had just woken.
    pub fn excuse(&self, line: &Line) -> bool {
        let mut woke = self.0.get(&line.pid).into_iter().flatten();
        woke.any(|woke| *woke <= line.at && line.at - woke <= WAKES_WITHIN)
    }
}

/// Where two runs of a schedule that allows it to one were under way at once, by the rows.
pub fn in_rows(transitions: &[Transition]) -> Vec<String> {
    let mut running: HashMap<&str, Vec<Uuid>> = HashMap::new();
    let mut found = Vec::new();
    for transition in transitions.iter().filter(|transition| is_exclusive(transition)) {
        let Transition { run, schedule, at, .. } = transition;
        let running = running.entry(schedule).or_default();
        running.retain(|other| other != run);
        if transition.state == "running" {
            found.extend(running.iter().map(|other| format!("{schedule} at {at}: {run} beside {other}")));
            running.push(*run);
        }
    }
    found
}

/// By what the suite wants, and not only by what the row says.
fn is_exclusive(transition: &Transition) -> bool {
    transition.is_exclusive || trial(&transition.schedule).is_some_and(Trial::is_exclusive)
}

/// Where an attempt of such a schedule went on after a later one had begun, by the diary.
pub fn in_diary(history: &History) -> Vec<String> {
    let awakenings = Awakenings::of(&history.diary);
    let mut by_schedule: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in &history.diary {
        if trial(&line.schedule).is_some_and(Trial::is_exclusive) {
            by_schedule.entry(&line.schedule).or_default().push(line);
        }
    }
    let mut found = Vec::new();
    for (schedule, lines) in by_schedule {
        let mut places: HashMap<(Uuid, i32), usize> = HashMap::new();
        let mut begun = 0;
        for line in lines {
            let attempt = (line.run, line.attempt);
            if line.word == Word::Begins {
                begun += 1;
                places.insert(attempt, begun);
            }
            let is_the_last = places.get(&attempt) == Some(&begun);
            if !is_the_last && !awakenings.excuse(line) {
                let Line { at, word, run, attempt, .. } = line;
                found.push(format!(
                    "{schedule} at {at}: attempt {attempt} of {run} ({word:?}) after a later one began"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_796_000_000_000 + milliseconds).unwrap()
    }

    fn transition(run: u128, old: &str, state: &str) -> Transition {
        Transition {
            run: Uuid::from_u128(run),
            schedule: "skips".to_owned(),
            is_exclusive: true,
            old_state: Some(old.to_owned()),
            state: state.to_owned(),
            old_attempt: Some(1),
            attempt: 1,
            attempts_max: 3,
            worker: None,
            writer: String::new(),
            error_kind: None,
            old_lease_until: None,
            at: at(0),
        }
    }

    #[test]
    fn a_run_that_is_claimed_while_another_is_under_way_is_found() {
        let claimed = |run| transition(run, "queued", "running");
        let ended = |run, state| transition(run, "running", state);
        let renewed = |run| transition(run, "running", "running");
        let well = [claimed(1), renewed(1), ended(1, "retrying"), claimed(2), ended(2, "failed"), claimed(1)];
        assert_eq!(in_rows(&well), Vec::<String>::new());
        let broken = [claimed(1), renewed(1), claimed(2), ended(1, "succeeded"), ended(2, "succeeded")];
        assert_eq!(in_rows(&broken).len(), 1);
        let allowed = broken.map(|transition| Transition {
            schedule: "secondly".to_owned(),
            is_exclusive: false,
            ..transition
        });
        assert_eq!(in_rows(&allowed), Vec::<String>::new());
    }

    #[test]
    fn rows_that_say_that_they_may_overlap_though_their_schedule_forbids_it_are_found() {
        let lax = |run| Transition { is_exclusive: false, ..transition(run, "queued", "running") };
        assert_eq!(in_rows(&[lax(1), lax(2)]).len(), 1);
    }

    fn line(milliseconds: i64, word: Word, (run, attempt): (u128, i32), pid: u32) -> Line {
        let (run, schedule) = (Uuid::from_u128(run), "skips".to_owned());
        Line { at: at(milliseconds), word, run, schedule, attempt, pid }
    }

    fn found(lines: &[Line]) -> Vec<String> {
        in_diary(&History { diary: lines.to_vec(), ..History::default() })
    }

    #[test]
    fn an_attempt_that_goes_on_after_a_later_one_began_is_found() {
        use Word::{Beats, Begins, Cut, Done};
        let well = [
            line(0, Begins, (1, 1), 10),
            line(50, Beats, (1, 1), 10),
            line(100, Done, (1, 1), 10),
            line(200, Begins, (2, 1), 20),
            line(250, Cut, (2, 1), 20),
            line(300, Begins, (2, 2), 10),
            line(350, Done, (2, 2), 10),
        ];
        assert_eq!(found(&well), Vec::<String>::new());
        let begun = [line(0, Begins, (1, 1), 10), line(40, Beats, (1, 1), 10), line(50, Begins, (1, 2), 20)];
        for late in [line(60, Beats, (1, 1), 10), line(60, Cut, (1, 1), 10), line(60, Done, (1, 1), 10)] {
            assert_eq!(found(&[begun.as_slice(), &[late]].concat()).len(), 1);
        }
        let other_run =
            [line(0, Begins, (1, 1), 10), line(50, Begins, (2, 1), 10), line(60, Beats, (1, 1), 10)];
        assert_eq!(found(&other_run).len(), 1);
    }

    #[test]
    fn who_stood_still_and_lost_his_lease_may_say_so_once_and_not_go_on() {
        use Word::{Beats, Begins};
        let mut lines = vec![
            line(0, Begins, (1, 1), 10),
            line(31_000, Begins, (1, 2), 20),
            line(35_000, Beats, (1, 1), 10),
        ];
        assert_eq!(found(&lines), Vec::<String>::new());
        lines.extend((1..=30).map(|beat| line(35_000 + beat * 50, Beats, (1, 1), 10)));
        assert_eq!(found(&lines).len(), 10, "those later than a second");
        // It was another process that stood still.
        lines.truncate(2);
        lines.extend((0..700).map(|beat| line(beat * 50, Beats, (1, 1), 10)));
        lines.sort_by_key(|line| line.at);
        assert_eq!(found(&lines).len(), 80);
    }
}
