//! The rule, held against a model: whatever the order of deliveries, the client never goes back and ends with the truth.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const ROOM: usize = 100;

/// A view that begins with task 1 in version 5, at the sequence 50.
fn view() -> View {
    let mut view = View::new(ROOM);
    view.begin([(TaskId(1), 5)], 50);
    view
}

#[test]
fn each_message_is_news_old_hat_or_in_doubt() {
    use Verdict::{Ask, Drop, Show};
    for (task, version, deleted, sequence, verdict, why) in [
        (1, 6, false, 51, Show, "a higher version of a task that is known"),
        (1, 6, false, 3, Show, "whenever it was written"),
        (1, 5, false, 51, Drop, "the version that is known, told again"),
        (1, 4, false, 51, Drop, "an older one"),
        (1, 6, true, 51, Show, "the end of a task that is known"),
        (1, 5, true, 51, Show, "an end is an end, whatever its version"),
        (2, 1, false, 51, Show, "a task that was made after the list"),
        (2, 9, false, 51, Show, "an old task that changed after the list"),
        (2, 9, false, 50, Ask, "it may have changed again before anybody listened"),
        (2, 9, true, 1, Show, "an end is never in doubt"),
    ] {
        assert_eq!(view().judge(TaskId(task), version, deleted, sequence), verdict, "{why}");
    }
}

#[test]
fn what_is_gone_never_comes_back() {
    let mut view = view();
    assert_eq!(view.judge(TaskId(2), 3, true, 60), Verdict::Show);
    assert_eq!(view.judge(TaskId(2), 1, false, 58), Verdict::Drop);
    assert_eq!(view.judge(TaskId(2), 3, true, 60), Verdict::Drop, "it is told once");
    assert_eq!(view.judge(TaskId(3), 1, false, 7), Verdict::Ask);
    assert_eq!(view.not_found(TaskId(3)), Verdict::Drop);
    assert_eq!(view.judge(TaskId(3), 2, false, 8), Verdict::Drop);
}

#[test]
fn before_the_first_list_everything_is_in_doubt() {
    let mut view = View::new(ROOM);
    assert_eq!(view.judge(TaskId(1), 1, false, i64::MAX - 1), Verdict::Ask);
}

#[test]
fn where_there_is_no_room_for_another_task_the_view_begins_anew() {
    let mut view = View::new(2);
    view.begin([(TaskId(1), 1)], 10);
    assert_eq!(view.judge(TaskId(2), 1, false, 11), Verdict::Show);
    assert_eq!(view.judge(TaskId(3), 1, false, 12), Verdict::BeginAnew);
    assert_eq!(view.judge(TaskId(3), 1, true, 12), Verdict::BeginAnew);
    assert_eq!(
        view.judge(TaskId(2), 2, false, 13),
        Verdict::Show,
        "of those that are known it goes on telling"
    );
}

/// An event of the model: the state of a task, and when it was committed (its place in the history).
#[derive(Debug, Clone, Copy)]
struct Event {
    task: i64,
    version: i64,
    deleted: bool,
    sequence: i64,
}

/// What happened to a few tasks, in the order of the commits. Sequences are those of the draws: of one task in order, of
/// different tasks not always.
fn histories() -> impl Strategy<Value = Vec<Event>> {
    let steps = prop::collection::vec((1..6_i64, 0..4_u8), 1..40);
    let swaps = prop::collection::vec(any::<prop::sample::Index>(), 0..20);
    (steps, swaps).prop_map(|(steps, swaps)| {
        let mut versions = BTreeMap::new();
        let mut history = Vec::new();
        for (task, what) in steps {
            let version = versions.entry(task).or_insert(0_i64);
            if *version < 0 {
                continue;
            }
            let deleted = what == 0 && *version > 0;
            let next = *version + 1;
            *version = if deleted { -1 } else { next };
            let sequence = i64::try_from(history.len()).unwrap() + 1;
            history.push(Event { task, version: next, deleted, sequence });
        }
        for swap in swaps {
            let at = swap.index(history.len());
            if at > 0 && history[at - 1].task != history[at].task {
                let (before, after) = (history[at - 1].sequence, history[at].sequence);
                // Only where it keeps each task's own order.
                let keeps = |history: &[Event]| {
                    history.iter().enumerate().all(|(place, one)| {
                        history[..place]
                            .iter()
                            .all(|other| other.task != one.task || other.sequence < one.sequence)
                    })
                };
                history[at - 1].sequence = after;
                history[at].sequence = before;
                if !keeps(&history) {
                    history[at - 1].sequence = before;
                    history[at].sequence = after;
                }
            }
        }
        history
    })
}

/// The database after the first `committed` events.
fn database(history: &[Event], committed: usize) -> BTreeMap<i64, i64> {
    let mut tasks = BTreeMap::new();
    for event in &history[..committed] {
        if event.deleted {
            tasks.remove(&event.task)
        } else {
            tasks.insert(event.task, event.version)
        };
    }
    tasks
}

/// A client's screen, which fails when something goes back.
#[derive(Debug, Default)]
struct Screen {
    shown: BTreeMap<i64, i64>,
    seen: BTreeMap<i64, i64>,
}

impl Screen {
    fn show(&mut self, task: i64, version: i64) {
        let before = self.seen.insert(task, version).unwrap_or(0);
        assert!(before <= version, "task {task} went back from {before} to {version}");
        self.shown.insert(task, version);
    }

    fn remove(&mut self, task: i64) {
        self.seen.insert(task, i64::MAX);
        self.shown.remove(&task);
    }
}

/// A socket over the model.
struct Client<'a> {
    history: &'a [Event],
    view: View,
    screen: Screen,
    limit: usize,
}

impl Client<'_> {
    /// Reads the list after `committed` events; `drawn` more have their sequences already.
    fn list(&mut self, committed: usize, drawn: usize) {
        let known = &self.history[..(committed + drawn).min(self.history.len())];
        let sure_after = known.iter().map(|event| event.sequence).max().unwrap_or(0);
        let list: Vec<_> = database(self.history, committed).into_iter().rev().take(self.limit).collect();
        self.view.begin(list.iter().map(|(task, version)| (TaskId(*task), *version)), sure_after);
        self.screen.shown.clear();
        for (task, version) in list {
            self.screen.show(task, version);
        }
    }

    /// Gets a message after `committed` events.
    fn hear(&mut self, event: Event, committed: usize, drawn: usize) {
        let Event { task, version, deleted, sequence } = event;
        match self.view.judge(TaskId(task), version, deleted, sequence) {
            Verdict::Drop => {}
            Verdict::Show if deleted => self.screen.remove(task),
            Verdict::Show => self.screen.show(task, version),
            Verdict::BeginAnew => self.list(committed, drawn),
            Verdict::Ask => {
                let found = database(self.history, committed).get(&task).copied();
                let verdict = match found {
                    Some(version) => self.view.found(TaskId(task), version),
                    None => self.view.not_found(TaskId(task)),
                };
                match (verdict, found) {
                    (Verdict::BeginAnew, _) => self.list(committed, drawn),
                    (Verdict::Show, Some(version)) => self.screen.show(task, version),
                    _ => {}
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// The client listens after `subscribed` events and reads its list after `listed`. From then on it gets every later
    /// event at least once, and any earlier one perhaps, in any order, each when any number of events may be committed.
    #[test]
    fn the_client_never_goes_back_and_ends_with_the_last_states(
        history in histories(),
        subscribed in any::<prop::sample::Index>(),
        listed in any::<prop::sample::Index>(),
        order in prop::collection::vec((any::<prop::sample::Index>(), any::<u16>()), 0..60),
        places in prop::collection::vec(any::<u16>(), 40),
        aheads in prop::collection::vec(prop_oneof![3 => Just(0_usize), 1 => 1..4_usize], 1..50),
        drawn in 0..3_usize,
        room in prop_oneof![Just(ROOM), 3..6_usize],
        limit in 1..4_usize,
    ) {
        let count = history.len();
        let subscribed = subscribed.index(count + 1);
        let listed = subscribed + listed.index(count - subscribed + 1);
        let mut deliveries: Vec<(u16, usize)> = (subscribed..count).map(|at| (places[at], at)).collect();
        deliveries.extend(order.iter().map(|(at, place)| (*place, at.index(count))));
        deliveries.sort_unstable();
        let mut client =
            Client { history: &history, view: View::new(room), screen: Screen::default(), limit };
        client.list(listed, drawn);
        let mut committed = listed;
        for ((_, at), ahead) in deliveries.into_iter().zip(aheads.into_iter().cycle()) {
            // A message is sent after its commit; the database may be further.
            committed = (committed.max(at + 1) + ahead).min(count);
            client.hear(history[at], committed, drawn);
        }
        let truth = database(&history, count);
        for (task, version) in &client.screen.shown {
            prop_assert_eq!(truth.get(task), Some(version), "task {} is shown as it is not", task);
        }
        // What changed after the last list is on the screen; with room for all there was but one list.
        if room == ROOM {
            for event in &history[listed..] {
                prop_assert_eq!(client.screen.shown.get(&event.task), truth.get(&event.task));
            }
        }
    }
}
