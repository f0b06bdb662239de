//! Whether each run goes the way of a run, ends once, and is told of once. Pure.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::history::{History, Transition};

/// What is wrong with how runs go and end.
pub fn wrong_ways(history: &History) -> Vec<String> {
    let mut ways: HashMap<Uuid, Vec<&Transition>> = HashMap::new();
    for transition in &history.transitions {
        ways.entry(transition.run).or_default().push(transition);
    }
    let mut found = Vec::new();
    for run in &history.runs {
        let way = ways.remove(&run.id).unwrap_or_default();
        found.extend(wrong_steps(&way));
        let ends = way.iter().filter(|transition| transition.ends_the_run()).count();
        let last = way.last().map_or("nowhere", |transition| transition.state.as_str());
        if last != run.state {
            found.push(format!("run {}: it is {} and was last seen to become {last}", run.id, run.state));
        }
        if ends > 1 {
            found.push(format!("run {}: it ended {ends} times", run.id));
        }
    }
    found.extend(ways.keys().map(|run| format!("run {run}: it is not there any more")));
    found
}

fn wrong_steps(way: &[&Transition]) -> Vec<String> {
    let mut before: Option<(&str, i32)> = None;
    let mut found = Vec::new();
    for transition in way {
        let Transition { run, state, attempt, .. } = transition;
        let old = transition.old_state.as_deref().zip(transition.old_attempt);
        if old != before {
            found.push(format!(
                "run {run}: it was {old:?} when it became {state}, and {before:?} before that"
            ));
        }
        let is_a_step = match (old, state.as_str()) {
            (None, "queued") => *attempt == 0,
            (Some(("queued", before)), "running") => *attempt == before + 1,
            (Some(("queued" | "retrying", before)), "queued")
            | (Some(("running", before)), "running" | "retrying" | "succeeded" | "failed") => {
                *attempt == before
            }
            _ => false,
        };
        if !is_a_step {
            found.push(format!("run {run}: from {old:?} to {:?}", (state, attempt)));
        }
        before = Some((state, *attempt));
    }
    found
}

/// Runs that are told of not at all, several times, or otherwise than they ended; and what was told and never came out of the
/// broker.
pub fn untold(history: &History) -> Vec<String> {
    let (mut ends, mut ticked) = (HashMap::<Uuid, Vec<&str>>::new(), HashSet::new());
    let mut found = Vec::new();
    for told in &history.told {
        if told.name == "job.tick.due" {
            ticked.insert(told.run);
            continue;
        }
        ends.entry(told.run).or_default().push(&told.name);
        if !history.came_out.contains(&told.event) {
            found.push(format!("run {}: its {} never came out of the broker", told.run, told.name));
        }
    }
    for run in &history.runs {
        let told = ends.remove(&run.id).unwrap_or_default();
        let is_told = match run.state.as_str() {
            "succeeded" => told == ["job.run.succeeded"],
            "failed" => told == ["job.run.failed"],
            _ => told.is_empty(),
        };
        if !is_told {
            found.push(format!("run {}: it is {}, and told is {told:?}", run.id, run.state));
        }
        if !ticked.contains(&run.id) {
            found.push(format!("run {}: no tick tells of it", run.id));
        }
    }
    found.extend(ends.keys().map(|run| format!("run {run}: told of, and not there")));
    found
}

/// Runs that had more attempts than they may, and such as are not over.
pub fn unbounded(history: &History) -> Vec<String> {
    let beyond = history.transitions.iter().filter(|transition| transition.attempt > transition.attempts_max);
    let beyond = beyond.map(|transition| {
        let Transition { run, attempt, attempts_max, .. } = transition;
        format!("run {run}: attempt {attempt} of {attempts_max}")
    });
    let stuck = history.runs.iter().filter(|run| !matches!(run.state.as_str(), "succeeded" | "failed"));
    beyond.chain(stuck.map(|run| format!("run {}: it is {} in the end", run.id, run.state))).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::history::{Run, Told};
    use super::*;

    fn step(old: Option<(&str, i32)>, (state, attempt): (&str, i32)) -> Transition {
        Transition {
            run: Uuid::from_u128(1),
            schedule: "skips".to_owned(),
            is_exclusive: true,
            old_state: old.map(|(state, _)| state.to_owned()),
            state: state.to_owned(),
            old_attempt: old.map(|(_, attempt)| attempt),
            attempt,
            attempts_max: 3,
            worker: None,
            writer: String::new(),
            error_kind: None,
            old_lease_until: None,
            at: DateTime::UNIX_EPOCH,
        }
    }

    fn way(places: &[(&str, i32)]) -> Vec<Transition> {
        let befores = std::iter::once(None).chain(places.iter().copied().map(Some));
        places.iter().zip(befores).map(|(place, before)| step(before, *place)).collect()
    }

    fn told(event: u128, name: &str) -> Told {
        Told { event: Uuid::from_u128(event), name: name.to_owned(), run: Uuid::from_u128(1) }
    }

    /// One run, which succeeded the second time.
    fn well() -> History {
        let run = Run {
            id: Uuid::from_u128(1),
            schedule: "skips".to_owned(),
            scheduled_at: DateTime::UNIX_EPOCH,
            state: "succeeded".to_owned(),
            attempt: 2,
        };
        History {
            runs: vec![run],
            transitions: way(&[
                ("queued", 0),
                ("running", 1),
                ("running", 1),
                ("retrying", 1),
                ("queued", 1),
                ("queued", 1),
                ("running", 2),
                ("succeeded", 2),
            ]),
            told: vec![told(1, "job.tick.due"), told(2, "job.tick.due"), told(3, "job.run.succeeded")],
            came_out: HashSet::from([Uuid::from_u128(3)]),
            ..History::default()
        }
    }

    fn found(history: &History) -> Vec<String> {
        [wrong_ways(history), untold(history), unbounded(history)].concat()
    }

    fn broken(change: impl FnOnce(&mut History)) -> Vec<String> {
        let mut history = well();
        change(&mut history);
        found(&history)
    }

    #[track_caller]
    fn assert_seen(found: &[String], words: &str) {
        assert!(found.iter().any(|violation| violation.contains(words)), "{words}: {found:?}");
    }

    #[test]
    fn where_each_run_ends_once_and_is_told_of_once_nothing_is_found() {
        assert_eq!(found(&well()), Vec::<String>::new());
    }

    #[test]
    fn a_second_end_a_way_out_of_the_end_and_a_leap_are_found() {
        let ended = Some(("succeeded", 2));
        for (more, words) in [
            (vec![step(ended, ("succeeded", 2))], "ended 2 times"),
            (
                vec![step(ended, ("running", 3)), step(Some(("running", 3)), ("succeeded", 3))],
                "ended 2 times",
            ),
            (vec![step(ended, ("queued", 2))], "from Some((\"succeeded\", 2))"),
            (vec![step(Some(("running", 2)), ("succeeded", 2))], "before that"),
        ] {
            assert_seen(&broken(|history| history.transitions.extend(more)), words);
        }
        // What an attempt writes under another's number.
        let other = way(&[("queued", 0), ("running", 1), ("succeeded", 2)]);
        assert_seen(&broken(|history| history.transitions = other), "from Some((\"running\", 1))");
        let unclaimed = way(&[("queued", 0), ("succeeded", 0)]);
        assert_seen(&broken(|history| history.transitions = unclaimed), "from Some((\"queued\", 0))");
        assert_seen(&broken(|history| drop(history.transitions.pop())), "last seen to become running");
        assert_seen(&broken(|history| history.runs.clear()), "not there any more");
    }

    #[test]
    fn an_end_told_twice_not_at_all_or_otherwise_is_found() {
        for (change, words) in [
            (Box::new(|told: &mut Vec<Told>| told.truncate(2)) as Box<dyn Fn(&mut Vec<Told>)>, "told is []"),
            (Box::new(|told| told.push(self::told(4, "job.run.succeeded"))), "told is ["),
            (Box::new(|told| told.push(self::told(4, "job.run.failed"))), "told is ["),
            (Box::new(|told| told[2].name = "job.run.failed".to_owned()), "told is ["),
            (Box::new(|told| drop(told.drain(..2))), "no tick"),
        ] {
            assert_seen(&broken(|history| change(&mut history.told)), words);
        }
        assert_seen(&broken(|history| history.came_out.clear()), "never came out");
    }

    #[test]
    fn an_attempt_too_many_and_a_run_that_is_stuck_are_found() {
        assert_seen(&broken(|history| history.transitions[6].attempts_max = 1), "attempt 2 of 1");
        let stuck = broken(|history| history.runs[0].state = "running".to_owned());
        assert_seen(&stuck, "it is running in the end");
    }
}
