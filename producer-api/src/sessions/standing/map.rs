//! What a replica knows of sessions and users without asking, and how long it may believe it.
//!
//! Pure and synchronous: no database, no clock. Three rules hold whatever the order of events:
//! - *Ended is absorbing.* Nothing makes a session live again.
//! - *A late fill never overwrites.* Whoever is about to ask the database takes a [`Ticket`] first. Every end and every
//!   drop moves a fence; an answer is stored, and given out, only if no fence of its ticket has moved.
//! - *No belief without a recent read.* Entries count only while the last read of what changed began less than
//!   `fresh_for` ago.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::ids::{SessionId, UserId};
use tokio::time::Instant;
use uuid::Uuid;

use super::bounded::Bounded;

/// The most sessions and the most users that are remembered: some 30 MB. Beyond it the database is asked.
const ENTRIES_MAX: usize = 100_000;
/// Fences for sessions, and as many for users: each guards the ids that fall on it, and a move that meant another id
/// only costs one more read.
const FENCES: usize = 1_024;

/// A user as requests are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFacts {
    /// Who.
    pub user_id: UserId,
    /// The name.
    pub username: String,
    /// Whether the account may be used at all.
    pub is_active: bool,
    /// Whether the user is staff.
    pub is_staff: bool,
    /// Whether the user may do anything.
    pub is_superuser: bool,
    /// A random mark of the present password.
    pub password_stamp: Uuid,
    /// The mark that a Django service wrote for that password, if its hash was imported.
    pub imported_mark: Option<String>,
    /// Since when there is this account.
    pub date_joined: DateTime<Utc>,
    /// When its password was changed, if ever.
    pub password_changed_at: Option<DateTime<Utc>>,
}

/// What a request is judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The user; none if he doesn't exist any more.
    pub user: Option<UserFacts>,
    /// Whether the session that was asked for is this user's and goes on; true if none was asked for.
    pub session_active: bool,
}

/// A session as the database has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FoundSession {
    pub(super) user_id: UserId,
    pub(super) is_active: bool,
}

/// What the database said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) user: Option<UserFacts>,
    pub(super) session: Option<FoundSession>,
}

impl Found {
    /// What it means for a request of `user` with `session`.
    pub(super) fn standing(self, user: UserId, session: Option<SessionId>) -> Standing {
        let active = FoundSession { user_id: user, is_active: true };
        Standing { user: self.user, session_active: session.is_none() || self.session == Some(active) }
    }
}

/// The right to store one answer of the database, taken before it is asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    user: UserId,
    session: Option<SessionId>,
    generation: u64,
    user_fence: u64,
    session_fence: u64,
}

/// What is known without asking.
#[derive(Debug)]
pub(super) enum Look {
    /// Everything.
    Known(Standing),
    /// Not all of it: ask the database, and [`Map::fill`] with the answer.
    Unknown(Ticket),
    /// Nothing that may be believed now: ask the database, and [`Map::judge`] the answer.
    Stale,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Session {
    Live(UserId),
    Ended,
}

/// The map. Whoever holds it takes care that one caller uses it at a time.
#[derive(Debug)]
pub(super) struct Map {
    sessions: Bounded<SessionId, Session>,
    users: Bounded<UserId, UserFacts>,
    /// Moves when everything live is forgotten.
    generation: u64,
    session_fences: Vec<u64>,
    user_fences: Vec<u64>,
    /// When the last read that succeeded was sent: everything committed before is applied.
    read_began: Option<Instant>,
    fresh_for: Duration,
}

impl Map {
    /// An empty map that believes what it holds for `fresh_for` after each read.
    pub(super) fn new(fresh_for: Duration) -> Self {
        Self::with_room(fresh_for, ENTRIES_MAX)
    }

    fn with_room(fresh_for: Duration, entries_max: usize) -> Self {
        Self {
            sessions: Bounded::new(entries_max),
            users: Bounded::new(entries_max),
            generation: 0,
            session_fences: vec![0; FENCES],
            user_fences: vec![0; FENCES],
            read_began: None,
            fresh_for,
        }
    }

    /// How long ago the last read that succeeded was sent.
    pub(super) fn read_age(&self, now: Instant) -> Option<Duration> {
        self.read_began.map(|began| now.saturating_duration_since(began))
    }

    /// Whether entries may be believed at `now`.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.read_began.is_some_and(|began| now.saturating_duration_since(began) < self.fresh_for)
    }

    /// Looks a user up, and his session if the token names one.
    pub(super) fn look(&mut self, user: UserId, session: Option<SessionId>, now: Instant) -> Look {
        if !self.is_fresh(now) {
            return Look::Stale;
        }
        let session_active = match session {
            None => Some(true),
            Some(session) => self.sessions.get(session).map(|state| *state == Session::Live(user)),
        };
        if let (Some(session_active), Some(facts)) = (session_active, self.users.get(user)) {
            return Look::Known(Standing { user: Some(facts.clone()), session_active });
        }
        Look::Unknown(self.ticket(user, session))
    }

    /// Stores what the database said and gives the standing. None if an end or a drop came in between, which the
    /// answer may not know of: look again.
    pub(super) fn fill(&mut self, ticket: Ticket, found: Found) -> Option<Standing> {
        let Ticket { user, session, generation, user_fence, session_fence } = ticket;
        let now = self.ticket(user, session);
        if (now.generation, now.user_fence, now.session_fence) != (generation, user_fence, session_fence) {
            return None;
        }
        let standing = self.judge(user, session, found.clone());
        if let Some(facts) = found.user {
            self.users.insert(user, facts);
        }
        match (session, found.session) {
            (None, _) => {}
            (Some(session), Some(FoundSession { user_id, is_active: true })) if !self.has_ended(session) => {
                self.sessions.insert(session, Session::Live(user_id));
            }
            (Some(session), _) => self.end(session),
        }
        Some(standing)
    }

    /// The standing by the database's answer, but that what is known to have ended has ended.
    pub(super) fn judge(&mut self, user: UserId, session: Option<SessionId>, found: Found) -> Standing {
        let mut standing = found.standing(user, session);
        standing.session_active &= !session.is_some_and(|session| self.has_ended(session));
        standing
    }

    /// A session is over: from here on nobody is told otherwise.
    pub(super) fn end(&mut self, session: SessionId) {
        let fence = &mut self.session_fences[session_fence(session)];
        *fence = fence.wrapping_add(1);
        self.sessions.insert(session, Session::Ended);
    }

    /// A user changed: what is known of him is old.
    pub(super) fn drop_user(&mut self, user: UserId) {
        let fence = &mut self.user_fences[user_fence(user)];
        *fence = fence.wrapping_add(1);
        self.users.remove(user);
    }

    /// Something may have been missed: only what has ended is sure.
    pub(super) fn forget_live(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        self.sessions.retain(|state| *state == Session::Ended);
        self.users.clear();
    }

    /// Everything is applied that had been committed when a read was sent at `began`.
    pub(super) fn confirm(&mut self, began: Instant) {
        self.read_began = self.read_began.max(Some(began));
    }

    /// Whether a session is known to have ended, which stays true whatever may have been missed.
    pub(super) fn has_ended(&mut self, session: SessionId) -> bool {
        self.sessions.get(session) == Some(&Session::Ended)
    }

    fn ticket(&self, user: UserId, session: Option<SessionId>) -> Ticket {
        Ticket {
            user,
            session,
            generation: self.generation,
            user_fence: self.user_fences[user_fence(user)],
            session_fence: session.map_or(0, |session| self.session_fences[session_fence(session)]),
        }
    }
}

/// The last bytes of a version 7 UUID are random.
fn session_fence(session: SessionId) -> usize {
    let [.., before_last, last] = session.0.into_bytes();
    usize::from(u16::from_be_bytes([before_last, last])) % FENCES
}

fn user_fence(user: UserId) -> usize {
    let [.., before_last, last] = user.0.to_be_bytes();
    usize::from(u16::from_be_bytes([before_last, last])) % FENCES
}

#[cfg(test)]
mod tests;
