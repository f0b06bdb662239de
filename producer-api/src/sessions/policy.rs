//! How many active sessions a user may have: which end, and which slot a new one takes. Pure.

use shared::ids::SessionId;

use crate::config::SessionPolicy;

/// A session that is active when a login comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ActiveSession {
    pub(super) id: SessionId,
    pub(super) slot: Option<i16>,
    /// Whether it has a token that is still good.
    pub(super) alive: bool,
}

/// What a login finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// These end to make room, and the new session takes this slot.
    For { ended: Vec<SessionId>, slot: Option<i16> },
    /// There is a session already, and it goes first.
    Occupied,
}

/// Makes room among the active sessions, the oldest first. Those without a good token are no session to anybody: they
/// end in any case, and are not among `ended`.
pub(super) fn make_room(policy: SessionPolicy, active: &[ActiveSession]) -> Room {
    let alive: Vec<&ActiveSession> = active.iter().filter(|session| session.alive).collect();
    let limit = match policy {
        SessionPolicy::Unlimited => return Room::For { ended: Vec::new(), slot: None },
        SessionPolicy::Reject if !alive.is_empty() => return Room::Occupied,
        SessionPolicy::Reject | SessionPolicy::Replace => 1,
        SessionPolicy::Limit(limit) => limit,
    };
    let too_many = (alive.len() + 1).saturating_sub(usize::from(limit));
    let (ended, kept) = alive.split_at(too_many);
    let taken: Vec<i16> = kept.iter().filter_map(|session| session.slot).collect();
    let slots = i16::try_from(limit).unwrap_or(i16::MAX);
    let slot = (1..=slots).find(|slot| !taken.contains(slot));
    Room::For { ended: ended.iter().map(|session| session.id).collect(), slot }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn session(number: u128, slot: Option<i16>) -> ActiveSession {
        ActiveSession { id: SessionId(Uuid::from_u128(number)), slot, alive: true }
    }

    fn ids(numbers: &[u128]) -> Vec<SessionId> {
        numbers.iter().map(|number| SessionId(Uuid::from_u128(*number))).collect()
    }

    #[test]
    fn each_policy_makes_room_in_its_way() {
        let active = [session(1, Some(1)), session(2, Some(3)), session(3, None)];
        for (policy, ended, slot) in [
            (SessionPolicy::Replace, &[1, 2, 3][..], Some(1)),
            (SessionPolicy::Limit(1), &[1, 2, 3], Some(1)),
            (SessionPolicy::Limit(2), &[1, 2], Some(1)),
            (SessionPolicy::Limit(3), &[1], Some(1)),
            (SessionPolicy::Limit(4), &[], Some(2)),
            (SessionPolicy::Unlimited, &[], None),
        ] {
            assert_eq!(make_room(policy, &active), Room::For { ended: ids(ended), slot }, "{policy:?}");
        }
        assert_eq!(make_room(SessionPolicy::Reject, &active), Room::Occupied);
        assert_eq!(make_room(SessionPolicy::Reject, &[]), Room::For { ended: vec![], slot: Some(1) });
    }

    #[test]
    fn a_session_whose_tokens_have_run_out_keeps_nobody_out() {
        let dead = ActiveSession { alive: false, ..session(1, Some(1)) };
        for policy in [SessionPolicy::Reject, SessionPolicy::Replace, SessionPolicy::Limit(1)] {
            let room = make_room(policy, std::slice::from_ref(&dead));
            assert_eq!(room, Room::For { ended: vec![], slot: Some(1) }, "{policy:?}");
        }
    }

    proptest! {
        #[test]
        fn a_limit_is_kept_with_slots_of_their_own_whatever_was_there(
            limit in 1_u16..6,
            slots in proptest::collection::btree_set(1_i16..10, 0..8),
            loose in 0_usize..4,
        ) {
            let slotted = slots.iter().map(|slot| Some(*slot));
            let all: Vec<_> = slotted.chain(std::iter::repeat_n(None, loose)).collect();
            let active: Vec<_> = all.iter().zip(1..).map(|(slot, number)| session(number, *slot)).collect();
            let Room::For { ended, slot } = make_room(SessionPolicy::Limit(limit), &active) else {
                return Err(TestCaseError::fail("a limit always makes room"));
            };
            let kept: Vec<_> = active.iter().filter(|session| !ended.contains(&session.id)).collect();
            prop_assert!(kept.len() < usize::from(limit));
            let slot = slot.unwrap();
            prop_assert!(slot >= 1 && u16::try_from(slot).unwrap() <= limit);
            prop_assert!(kept.iter().all(|session| session.slot != Some(slot)));
        }
    }
}
