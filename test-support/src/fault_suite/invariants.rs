//! The verdict: which of the invariants the evidence breaks. Pure.

use std::fmt::Debug;
use std::time::Duration;

use super::account::Account;
use super::committed::LeftOver;
use super::evidence::Evidence;

/// What is promised (`docs/FAULTS.md` says it in full).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// What changed has its event, and the other way round.
    EveryChangeIsTold,
    /// Nothing is lost.
    NothingIsLost,
    /// Nothing is there that was not committed.
    NothingIsMadeUp,
    /// One row an event.
    NothingIsDoubled,
    /// The sequence is the order of what happened.
    OrderIsKept,
    /// Each run and each due instant has one answer.
    EveryTickIsAnswered,
    /// Each instant of each schedule is one run or lies in one gap.
    EveryInstantIsAnswered,
    /// Each run goes the way of a run, ends once, and is told of once.
    RunsEndOnce,
    /// Runs that must not overlap don't.
    NothingOverlaps,
    /// Who has lost its lease writes nothing any more.
    LostLeasesWriteNothing,
    /// No run is tried more often than it may, and none is stuck.
    RunsAreBounded,
    /// What can't be read or routed is set aside, and only that.
    NothingVanishesInACorner,
    /// The outbox and the programs' memory come back to what they were.
    EverythingStaysBounded,
    /// No request fails because the broker is away.
    RequestsDoNotNeedTheBroker,
    /// No program ends by itself, or has no better name for an outage than "internal error".
    FaultsAreOutlived,
    /// The suite itself could do and see what it must.
    TheSuiteIsWhole,
}

/// A broken invariant, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub words: String,
}

/// What a run saw beside the evidence of the tables.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// How many unreadable messages are surely in quarantine.
    pub poison: usize,
    /// How many more may be there.
    pub poison_unsure: usize,
    /// Requests that were refused (4xx), though they were in order.
    pub refused: Vec<String>,
    /// Requests that failed though no fault explains it but one of the broker, or of another program.
    pub unexcused: Vec<String>,
    /// Requests that were answered with 500, whatever was hit: the API has words for outages.
    pub internal_errors: Vec<String>,
    /// Which programs ended by themselves, with their last words.
    pub ended_by_itself: Vec<String>,
    /// What the suite could not do or see.
    pub broke: Vec<String>,
    /// How long after each burst the outbox was well; none if it was not within the quiet time.
    pub recoveries: Vec<Option<Duration>>,
    /// The most memory that each program held, in kB.
    pub memory: Vec<(String, usize)>,
}

/// How long an outbox may take to be well again.
pub const RECOVERS_WITHIN: Duration = Duration::from_secs(30);
/// The most memory a program may hold, in kB.
pub const MEMORY_MAX: usize = 256 * 1024;
/// How many examples a violation names.
const EXAMPLES: usize = 5;

/// Which invariants are broken; none if all is well.
pub fn judge(evidence: &Evidence, observed: &Observed) -> Vec<Violation> {
    use Invariant::{
        EveryChangeIsTold, EveryTickIsAnswered, EverythingStaysBounded, FaultsAreOutlived, NothingIsDoubled,
        NothingIsLost, NothingIsMadeUp, NothingVanishesInACorner, OrderIsKept, RequestsDoNotNeedTheBroker,
        TheSuiteIsWhole,
    };
    let mut found = Vec::new();
    let mut note = |invariant: Invariant, words: Option<String>| {
        found.extend(words.map(|words| Violation { invariant, words }));
    };
    note(EveryChangeIsTold, listed("rows are not as the trail tells", &evidence.untold));
    note(NothingIsLost, lost("confirmed messages never came out of the broker", &evidence.messages));
    note(NothingIsLost, lost("committed events are not in the trail", &evidence.events));
    note(NothingIsLost, lost("acknowledged requests left no event", &evidence.requests));
    let LeftOver { waiting, parked, unrecorded } = evidence.left_over;
    note(NothingIsLost, counted("rows still wait in the outbox", waiting));
    note(NothingIsLost, counted("rows are still parked", parked));
    note(NothingIsLost, counted("confirmed rows were not seen in the trail", unrecorded));
    note(NothingIsMadeUp, unexpected("messages were never committed", &evidence.messages));
    note(NothingIsMadeUp, unexpected("rows of the trail were never committed", &evidence.events));
    note(
        NothingIsMadeUp,
        unexpected("events tell of requests that were refused or never made", &evidence.requests),
    );
    note(NothingIsMadeUp, listed("rows of the trail differ from what was committed", &evidence.altered));
    let strangers = usize::try_from(evidence.strangers).unwrap_or(usize::MAX);
    note(NothingIsMadeUp, counted("messages without an id were published", strangers));
    note(NothingIsDoubled, doubled("events are several rows of the trail", &evidence.events));
    note(NothingIsDoubled, doubled("requests took effect several times", &evidence.requests));
    note(OrderIsKept, listed("facts are out of order or missing in between", &evidence.disorder));
    note(EveryTickIsAnswered, listed("runs or ticks without exactly one answer", &evidence.unanswered));
    let poison_most = observed.poison + observed.poison_unsure;
    if !(observed.poison..=poison_most).contains(&evidence.quarantined) {
        let (poison, quarantined) = (observed.poison, evidence.quarantined);
        let words = format!("{poison} to {poison_most} unreadable messages, {quarantined} in quarantine");
        note(NothingVanishesInACorner, Some(words));
    }
    note(RequestsDoNotNeedTheBroker, listed("requests in order were refused", &observed.refused));
    note(RequestsDoNotNeedTheBroker, listed("requests failed without excuse", &observed.unexcused));
    note(FaultsAreOutlived, listed("requests were answered with 500", &observed.internal_errors));
    note(FaultsAreOutlived, listed("times a program ended by itself", &observed.ended_by_itself));
    note(TheSuiteIsWhole, listed("things broke in the suite itself", &observed.broke));
    for (place, recovery) in observed.recoveries.iter().enumerate() {
        if recovery.is_none_or(|took| took > RECOVERS_WITHIN) {
            let words = format!("after burst {} the outbox was not well in time: {recovery:?}", place + 1);
            note(EverythingStaysBounded, Some(words));
        }
    }
    for (program, kilobytes) in observed.memory.iter().filter(|(_, kilobytes)| *kilobytes > MEMORY_MAX) {
        note(EverythingStaysBounded, Some(format!("{program} held {kilobytes} kB of memory")));
    }
    found
}

fn counted(words: &str, count: usize) -> Option<String> {
    (count > 0).then(|| format!("{count} {words}"))
}

pub(super) fn listed<T: Debug>(words: &str, list: &[T]) -> Option<String> {
    let examples = &list[..list.len().min(EXAMPLES)];
    (!list.is_empty()).then(|| format!("{} {words}, such as {examples:?}", list.len()))
}

fn lost<K: Debug>(words: &str, account: &Account<K>) -> Option<String> {
    listed(words, &account.lost)
}

fn unexpected<K: Debug>(words: &str, account: &Account<K>) -> Option<String> {
    listed(words, &account.unexpected)
}

fn doubled<K: Debug>(words: &str, account: &Account<K>) -> Option<String> {
    listed(words, &account.duplicated)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::account::{Outcome, account};
    use super::*;

    fn well() -> Evidence {
        let id = Uuid::from_u128(1);
        let one = account([(id, Outcome::Acknowledged)], [id]);
        let name = "fault-suite/1 task.created".to_owned();
        Evidence {
            // A message may come twice.
            messages: account([(id, Outcome::Acknowledged)], [id, id]),
            events: one,
            requests: account([(name.clone(), Outcome::Acknowledged)], [name]),
            unwitnessed: 3,
            own_copies: 2,
            strangers: 0,
            retried: 1,
            were_parked: 4,
            sent_again: 5,
            left_over: LeftOver::default(),
            quarantined: 2,
            overtaken: 7,
            disorder: Vec::new(),
            altered: Vec::new(),
            untold: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    fn fine() -> Observed {
        let memory = vec![("audit-consumer-1".to_owned(), MEMORY_MAX)];
        Observed { poison: 2, recoveries: vec![Some(RECOVERS_WITHIN)], memory, ..Observed::default() }
    }

    fn broken(evidence: &Evidence, observed: &Observed) -> Vec<Invariant> {
        judge(evidence, observed).into_iter().map(|violation| violation.invariant).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_found() {
        assert_eq!(judge(&well(), &fine()), []);
    }

    #[test]
    fn whatever_is_wrong_in_the_tables_is_found_and_nothing_else() {
        use Invariant::{
            EveryChangeIsTold, EveryTickIsAnswered, NothingIsDoubled, NothingIsLost, NothingIsMadeUp,
            NothingVanishesInACorner, OrderIsKept,
        };
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let is_in = |id| [(id, Outcome::Acknowledged)];
        let word = || vec!["task 7".to_owned()];
        let none = LeftOver::default();
        let name = || "fault-suite/1 task.created".to_owned();
        for (evidence, expected) in [
            (Evidence { messages: account(is_in(id), []), ..well() }, NothingIsLost),
            (Evidence { messages: account(is_in(id), [id, other]), ..well() }, NothingIsMadeUp),
            (Evidence { events: account(is_in(id), []), ..well() }, NothingIsLost),
            (Evidence { events: account(is_in(id), [id, other]), ..well() }, NothingIsMadeUp),
            (Evidence { events: account(is_in(id), [id, id]), ..well() }, NothingIsDoubled),
            (Evidence { requests: account([(name(), Outcome::Acknowledged)], []), ..well() }, NothingIsLost),
            (
                Evidence { requests: account([(name(), Outcome::Refused)], [name()]), ..well() },
                NothingIsMadeUp,
            ),
            (
                Evidence { requests: account([(name(), Outcome::Unsure)], [name(), name()]), ..well() },
                NothingIsDoubled,
            ),
            (Evidence { left_over: LeftOver { waiting: 1, ..none }, ..well() }, NothingIsLost),
            (Evidence { left_over: LeftOver { parked: 1, ..none }, ..well() }, NothingIsLost),
            (Evidence { left_over: LeftOver { unrecorded: 1, ..none }, ..well() }, NothingIsLost),
            (Evidence { altered: word(), ..well() }, NothingIsMadeUp),
            (Evidence { strangers: 1, ..well() }, NothingIsMadeUp),
            (Evidence { quarantined: 1, ..well() }, NothingVanishesInACorner),
            (Evidence { quarantined: 3, ..well() }, NothingVanishesInACorner),
            (Evidence { disorder: word(), ..well() }, OrderIsKept),
            (Evidence { untold: word(), ..well() }, EveryChangeIsTold),
            (Evidence { unanswered: word(), ..well() }, EveryTickIsAnswered),
        ] {
            assert_eq!(broken(&evidence, &fine()), [expected], "{evidence:?}");
        }
    }

    #[test]
    fn unreadable_messages_may_be_in_quarantine_that_nobody_saw_there_in_time() {
        let observed = Observed { poison_unsure: 5, ..fine() };
        for (quarantined, is_well) in [(1, false), (2, true), (4, true), (7, true), (8, false)] {
            let evidence = Evidence { quarantined, ..well() };
            assert_eq!(judge(&evidence, &observed).is_empty(), is_well, "{quarantined}");
        }
    }

    #[test]
    fn whatever_went_wrong_during_the_run_is_found_and_nothing_else() {
        use Invariant::{
            EverythingStaysBounded, FaultsAreOutlived, RequestsDoNotNeedTheBroker, TheSuiteIsWhole,
        };
        let word = || vec!["fault-suite/1: 503".to_owned()];
        let late = Some(RECOVERS_WITHIN + Duration::from_millis(1));
        let fat = vec![("scheduler-1".to_owned(), MEMORY_MAX + 1)];
        for (observed, expected) in [
            (Observed { refused: word(), ..fine() }, RequestsDoNotNeedTheBroker),
            (Observed { unexcused: word(), ..fine() }, RequestsDoNotNeedTheBroker),
            (Observed { recoveries: vec![Some(Duration::ZERO), None], ..fine() }, EverythingStaysBounded),
            (Observed { broke: word(), ..fine() }, TheSuiteIsWhole),
            (Observed { internal_errors: word(), ..fine() }, FaultsAreOutlived),
            (Observed { ended_by_itself: word(), ..fine() }, FaultsAreOutlived),
            (Observed { recoveries: vec![late], ..fine() }, EverythingStaysBounded),
            (Observed { memory: fat, ..fine() }, EverythingStaysBounded),
        ] {
            assert_eq!(broken(&well(), &observed), [expected], "{observed:?}");
        }
    }
}
