//! Tells that a signed-in user asked for what is not his.

use std::net::IpAddr;

use shared::contracts::Origin;
use shared::contracts::auth::{AccessDenial, AccessDenied, Tally};
use shared::ids::{SessionId, UserId};

use super::signed_in::SignedIn;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::state::AppState;
use crate::tallies::{Tallied, Tallies};

/// Counts tries at objects of others. Clones share the counts.
pub type DeniedObjects = Tallies<DeniedObject>;

/// A try at another user's object. He is told that there is none: were each try an event of its own, its time would tell
/// him more, and his tries would fill the trail.
#[derive(Debug, Clone)]
pub struct DeniedObject {
    user_id: UserId,
    username: String,
    session_id: Option<SessionId>,
    /// None: any number of his tries at different ones.
    object: Option<String>,
    origin: Origin,
}

impl Tallied for DeniedObject {
    type Key = (UserId, Option<SessionId>, Option<String>, Option<IpAddr>);
    type Event = AccessDenied;
    type Source = UserId;
    const WHAT: &'static str = "tries at others' objects";

    fn key(&self) -> Self::Key {
        (self.user_id, self.session_id, self.object.clone(), self.origin.ip)
    }

    /// He chooses the object, and may have any number of sessions and addresses.
    fn widened(&self) -> Option<(UserId, Self)> {
        let (user_id, username) = (self.user_id, self.username.clone());
        let origin = Origin::default();
        Some((user_id, Self { user_id, username, session_id: None, object: None, origin }))
    }

    fn event(&self, tally: Tally) -> AccessDenied {
        let Self { user_id, username, session_id, object, origin } = self.clone();
        AccessDenied {
            user_id: Some(user_id),
            username: Some(username),
            session_id,
            object,
            origin,
            ..Self::event_of_the_rest(tally)
        }
    }

    fn event_of_the_rest(Tally { count, first_at, last_at }: Tally) -> AccessDenied {
        AccessDenied {
            user_id: None,
            username: None,
            session_id: None,
            reason: AccessDenial::NotOwner,
            object: None,
            count,
            first_at,
            last_at,
            origin: Origin::default(),
        }
    }
}

/// Counts that somebody asked for another's object, such as `tasks/7`.
pub fn note_denied(state: &AppState, context: &RequestContext, who: &SignedIn, object: String) {
    let denied = DeniedObject {
        user_id: who.user_id,
        username: who.username.clone(),
        session_id: who.session_id,
        object: Some(object),
        origin: context.origin(),
    };
    state.denied_objects.note(denied, context.trace, state.clock.now());
}

/// 403 for whoever is not staff, and an event of it: `object` is what he asked for.
pub async fn staff_only(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    object: String,
) -> Result<(), Problem> {
    if who.is_staff {
        return Ok(());
    }
    tell_denied(state, context, who, AccessDenial::NotStaff, object).await?;
    Err(Problem::permission_denied())
}

/// Leaves the event of a denial for want of a right, in a transaction of its own: there is nothing else to commit.
pub async fn tell_denied(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    reason: AccessDenial,
    object: String,
) -> Result<(), Fault> {
    let now = state.clock.now();
    let event = AccessDenied {
        user_id: Some(who.user_id),
        username: Some(who.username.clone()),
        session_id: who.session_id,
        reason,
        object: Some(object),
        count: 1,
        first_at: now,
        last_at: now,
        origin: context.origin(),
    };
    let mut transaction = state.database.begin().await?;
    state.outbox.append(&mut transaction, &context.trace, event).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}
