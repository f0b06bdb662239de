//! The map by examples, and in random order against a model of the database and its readers.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const FRESH_FOR: Duration = Duration::from_secs(2);

fn session(number: u8) -> SessionId {
    SessionId(Uuid::from_u128(number.into()))
}

fn user(number: u8) -> UserId {
    UserId(number.into())
}

/// Facts whose name tells their version.
fn facts(number: u8, version: u32) -> UserFacts {
    UserFacts {
        user_id: user(number),
        username: version.to_string(),
        is_active: true,
        is_staff: false,
        is_superuser: false,
        password_stamp: Uuid::nil(),
        imported_mark: None,
        date_joined: chrono::DateTime::UNIX_EPOCH,
        password_changed_at: None,
    }
}

fn found(is_active: bool) -> Found {
    Found { user: Some(facts(1, 0)), session: Some(FoundSession { user_id: user(1), is_active }) }
}

fn fresh_map(now: Instant) -> Map {
    let mut map = Map::new(FRESH_FOR);
    map.confirm(now);
    map
}

fn ticket(map: &mut Map, user: UserId, session: Option<SessionId>, now: Instant) -> Ticket {
    match map.look(user, session, now) {
        Look::Unknown(ticket) => ticket,
        other => panic!("{other:?} where nothing should be known"),
    }
}

fn known(map: &mut Map, user: UserId, session: Option<SessionId>, now: Instant) -> Standing {
    match map.look(user, session, now) {
        Look::Known(standing) => standing,
        other => panic!("{other:?} where all should be known"),
    }
}

#[test]
fn what_was_filled_is_known_to_the_user_and_the_session_it_is_about() {
    let now = Instant::now();
    let mut map = fresh_map(now);
    let ticket_of_both = ticket(&mut map, user(1), Some(session(1)), now);
    let standing = map.fill(ticket_of_both, found(true)).unwrap();
    assert!(standing.session_active);
    assert_eq!(known(&mut map, user(1), Some(session(1)), now), standing);
    assert!(known(&mut map, user(1), None, now).session_active, "a token without a session");
    // Another user's token with this session: his own facts are unknown, and then the session is not his.
    let of_another = ticket(&mut map, user(2), Some(session(1)), now);
    let answer = Found { user: Some(facts(2, 0)), ..found(true) };
    assert!(!map.fill(of_another, answer).unwrap().session_active);
    assert!(!known(&mut map, user(2), Some(session(1)), now).session_active);
    assert!(known(&mut map, user(1), Some(session(1)), now).session_active, "and its user keeps it");
}

#[test]
fn a_session_that_the_database_does_not_have_or_has_ended_is_over() {
    let now = Instant::now();
    for gone in [found(false), Found { session: None, ..found(true) }] {
        let mut map = fresh_map(now);
        let asked = ticket(&mut map, user(1), Some(session(1)), now);
        assert!(!map.fill(asked, gone).unwrap().session_active);
        assert!(!known(&mut map, user(1), Some(session(1)), now).session_active);
    }
}

/// ente/ente#12071: a revoked session was remembered again by a fill that had begun before.
#[test]
fn a_fill_that_an_end_overtook_is_neither_stored_nor_answered() {
    let now = Instant::now();
    let mut map = fresh_map(now);
    let late = ticket(&mut map, user(1), Some(session(1)), now);
    map.end(session(1));
    assert_eq!(map.fill(late, found(true)), None);
    let again = ticket(&mut map, user(1), Some(session(1)), now);
    assert!(!map.fill(again, found(true)).unwrap().session_active, "even if the database were behind");
    assert!(!map.judge(user(1), Some(session(1)), found(true)).session_active);
}

#[test]
fn a_fill_that_a_change_of_its_user_overtook_is_not_stored() {
    let now = Instant::now();
    let mut map = fresh_map(now);
    let late = ticket(&mut map, user(1), None, now);
    map.drop_user(user(1));
    assert_eq!(map.fill(late, found(true)), None);
    assert!(matches!(map.look(user(1), None, now), Look::Unknown(_)));
}

#[test]
fn forgetting_drops_what_lives_and_what_is_being_filled_and_keeps_what_ended() {
    let now = Instant::now();
    let mut map = fresh_map(now);
    let first = ticket(&mut map, user(1), Some(session(1)), now);
    map.fill(first, found(true)).unwrap();
    map.end(session(2));
    let late = ticket(&mut map, user(3), None, now);
    map.forget_live();
    assert_eq!(map.fill(late, found(true)), None);
    assert!(matches!(map.look(user(1), Some(session(1)), now), Look::Unknown(_)));
    assert!(!map.judge(user(1), Some(session(2)), found(true)).session_active);
}

#[test]
fn nothing_is_believed_two_seconds_after_the_last_read_began() {
    let began = Instant::now();
    let mut map = Map::new(FRESH_FOR);
    assert!(matches!(map.look(user(1), None, began), Look::Stale), "before the first read");
    map.confirm(began);
    let asked = ticket(&mut map, user(1), None, began);
    map.fill(asked, found(true)).unwrap();
    let last = began + FRESH_FOR - Duration::from_millis(1);
    known(&mut map, user(1), None, last);
    assert!(matches!(map.look(user(1), None, began + FRESH_FOR), Look::Stale));
    // A read that began earlier and came back later takes nothing away.
    map.confirm(began + Duration::from_secs(1));
    map.confirm(began);
    known(&mut map, user(1), None, began + FRESH_FOR);
}

/// One step of one of the parties.
#[derive(Debug, Clone)]
enum Step {
    /// A request looks, and takes a ticket if it must ask.
    Look { user: u8, session: Option<u8> },
    /// The database answers the oldest request that waits for it, or another.
    Answer { which: usize },
    /// A request that has its answer stores it.
    Fill { which: usize },
    /// A session ends in the database.
    CommitEnd(u8),
    /// The map learns of an end that was committed.
    LearnEnd(u8),
    /// A user changes in the database.
    CommitChange(u8),
    /// The map learns of a change that was committed.
    LearnChange(u8),
    /// The map learns that it may have missed something: all that is true now counts as told.
    Forget,
    /// So many others come by that a small map forgets even what ended.
    Evict,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (users, sessions) = (0..3_u8, 0..4_u8);
    let which = 0..8_usize;
    let step = prop_oneof![
        6 => (users.clone(), prop::option::weighted(0.8, sessions.clone()))
            .prop_map(|(user, session)| Step::Look { user, session }),
        5 => which.clone().prop_map(|which| Step::Answer { which }),
        5 => which.prop_map(|which| Step::Fill { which }),
        1 => sessions.clone().prop_map(Step::CommitEnd),
        2 => sessions.prop_map(Step::LearnEnd),
        1 => users.clone().prop_map(Step::CommitChange),
        2 => users.prop_map(Step::LearnChange),
        1 => Just(Step::Forget),
        2 => Just(Step::Evict),
    ];
    vec(step, 1..200)
}

/// The database, and what the map has been told of it.
#[derive(Debug, Default)]
struct Truth {
    ended: HashMap<u8, bool>,
    versions: HashMap<u8, u32>,
    told_ended: HashMap<u8, bool>,
    told_versions: HashMap<u8, u32>,
}

/// A request between its ticket and its fill.
#[derive(Debug)]
struct Asked {
    user: u8,
    session: Option<u8>,
    ticket: Ticket,
    answer: Option<Found>,
}

impl Truth {
    fn answer(&self, user: u8, session: Option<u8>) -> Found {
        let is_active = |session| !self.ended.get(&session).copied().unwrap_or(false);
        Found {
            user: Some(facts(user, self.versions.get(&user).copied().unwrap_or(0))),
            // Every session is that of user `number % 3`.
            session: session
                .map(|number| FoundSession { user_id: self::user(number % 3), is_active: is_active(number) }),
        }
    }

    /// Nothing may be called live that the map was told had ended, and no facts may be older than the last drop.
    fn check(&self, user: u8, session: Option<u8>, standing: &Standing) -> Result<(), TestCaseError> {
        if let Some(session) = session {
            let told_ended = self.told_ended.get(&session).copied().unwrap_or(false);
            prop_assert!(!(standing.session_active && told_ended), "an ended session was called active");
            prop_assert!(
                !standing.session_active || session % 3 == user,
                "another user's session was called his"
            );
        }
        let version: u32 = standing.user.as_ref().unwrap().username.parse().unwrap();
        let told = self.told_versions.get(&user).copied().unwrap_or(0);
        prop_assert!(version >= told, "facts of version {version} after a drop of version {told}");
        Ok(())
    }
}

fn run(steps: Vec<Step>, room: usize) -> Result<(), TestCaseError> {
    let now = Instant::now();
    let mut map = Map::with_room(FRESH_FOR, room);
    map.confirm(now);
    let (mut truth, mut asked) = (Truth::default(), Vec::<Asked>::new());
    for step in steps {
        match step {
            Step::Look { user: number, session: asks } => {
                match map.look(user(number), asks.map(session), now) {
                    Look::Known(standing) => truth.check(number, asks, &standing)?,
                    Look::Unknown(ticket) => {
                        asked.push(Asked { user: number, session: asks, ticket, answer: None });
                    }
                    Look::Stale => prop_assert!(false, "the map is fresh"),
                }
            }
            Step::Answer { which } => {
                if let Some(one) = asked.get_mut(which).filter(|one| one.answer.is_none()) {
                    one.answer = Some(truth.answer(one.user, one.session));
                }
            }
            Step::Fill { which } => {
                if asked.get(which).is_some_and(|one| one.answer.is_some()) {
                    let one = asked.swap_remove(which);
                    if let Some(standing) = map.fill(one.ticket, one.answer.unwrap()) {
                        truth.check(one.user, one.session, &standing)?;
                    }
                }
            }
            Step::CommitEnd(number) => {
                truth.ended.insert(number, true);
            }
            Step::LearnEnd(number) => {
                if let Some(ended) = truth.ended.get(&number) {
                    truth.told_ended.insert(number, *ended);
                    map.end(session(number));
                }
            }
            Step::CommitChange(number) => *truth.versions.entry(number).or_default() += 1,
            Step::LearnChange(number) => {
                truth.told_versions.insert(number, truth.versions.get(&number).copied().unwrap_or(0));
                map.drop_user(user(number));
            }
            Step::Forget => {
                truth.told_ended = truth.ended.clone();
                truth.told_versions = truth.versions.clone();
                map.forget_live();
            }
            Step::Evict => (100..104).for_each(|number| map.end(session(number))),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// With room for everything, and with so little that entries are evicted all the time.
    #[test]
    fn in_any_order_nothing_ended_is_called_live_and_no_facts_are_older_than_the_last_drop(
        steps in steps(),
        room in prop_oneof![Just(1_usize), Just(2), Just(4), Just(1_000)],
    ) {
        run(steps, room)?;
    }
}
