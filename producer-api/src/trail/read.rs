//! Reads a page of the trail and tells that it was read.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shared::contracts::trail::TrailRead;
use shared::ids::EventId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Asked;
use super::store::{self, Look, Row};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// How many events one request looks at. Filters that have no index leave out what was looked at, so a page may have few
/// events, or none, and a next page all the same: a request never reads the whole trail.
pub(super) const LOOKED_AT_MAX: u16 = 10_000;

/// An event of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrailEvent {
    /// Its id, a UUIDv7.
    event_id: Uuid,
    /// Its type.
    r#type: String,
    /// When it arose.
    occurred_at: DateTime<Utc>,
    /// When it was recorded.
    recorded_at: DateTime<Utc>,
    /// Its place in the outbox: of two facts about one user the later has the greater.
    #[schema(required)]
    sequence: Option<i64>,
    /// Whom it is about.
    #[schema(required)]
    user_id: Option<i64>,
    /// The username that it carried.
    #[schema(required)]
    username: Option<String>,
    /// Its session.
    #[schema(required)]
    session_id: Option<Uuid>,
    /// The id of the token that it is about.
    #[schema(required)]
    jti: Option<String>,
    /// The client's address.
    #[schema(required, value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// The client's name for itself.
    #[schema(required)]
    user_agent: Option<String>,
    /// `success` or `failure`.
    outcome: String,
    /// Why.
    #[schema(required)]
    reason: Option<String>,
    /// The request behind it.
    #[schema(required)]
    request_id: Option<Uuid>,
    /// The trace in which it arose.
    #[schema(required)]
    trace_id: Option<String>,
    /// The whole event, as it was published.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

/// Events, newest first.
#[derive(Debug)]
pub struct Page {
    /// They.
    pub events: Vec<TrailEvent>,
    /// Before which the next page begins; none if there is nothing more to look at.
    pub next: Option<EventId>,
}

/// What `who` asks for. He sees nothing if that can't be told.
pub async fn read(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    asked: &Asked,
) -> Result<Page, Fault> {
    let mut transaction = state.database.begin().await?;
    let (looked_at_max, wanted) = (i64::from(LOOKED_AT_MAX), i64::from(asked.limit) + 1);
    let mut look = store::look(&mut transaction, &asked.filters, asked.before, looked_at_max, wanted).await?;
    let next = next(&mut look, asked.limit);
    let events = store::rows(&mut transaction, &look.found).await?;
    let read = TrailRead {
        actor_id: who.user_id,
        actor: who.username.clone(),
        session_id: who.session_id,
        filters: asked.filters.clone(),
        cursor: asked.before,
        rows: u64::try_from(events.len()).unwrap_or(u64::MAX),
        origin: context.origin(),
    };
    state.outbox.append(&mut transaction, &context.trace, read).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(Page { events: events.into_iter().filter_map(TrailEvent::of).collect(), next })
}

/// Cuts what was found to a page and says where the next one begins: after the last event shown, or, if all that was found
/// is shown and there may be more to look at, after the last one looked at.
fn next(look: &mut Look, limit: u16) -> Option<EventId> {
    if look.found.len() > usize::from(limit) {
        look.found.truncate(usize::from(limit));
        return look.found.last().copied().map(EventId);
    }
    if look.looked_at < i64::from(LOOKED_AT_MAX) { None } else { look.oldest.map(EventId) }
}

impl TrailEvent {
    /// A body that is no JSON, of which the consumer records none, is shown as its text: no event is hidden.
    fn of(row: Row) -> Option<Self> {
        let body = RawValue::from_string(row.body.clone()).or_else(|_| to_raw_value(&row.body)).ok()?;
        Some(Self {
            event_id: row.event_id,
            r#type: row.event_type,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            sequence: row.sequence,
            user_id: row.user_id,
            username: row.username,
            session_id: row.session_id,
            jti: row.jti,
            ip: row.ip.map(|network| network.ip()),
            user_agent: row.user_agent,
            outcome: row.outcome,
            reason: row.reason,
            request_id: row.request_id,
            trace_id: row.trace_id,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_after_what_was_shown_or_after_what_was_looked_at() {
        let id = |number: u128| Uuid::from_u128(number);
        let look = |found: &[u128], looked_at: u16| Look {
            found: found.iter().copied().map(id).collect(),
            looked_at: i64::from(looked_at),
            oldest: Some(id(1)),
        };
        let all = LOOKED_AT_MAX;
        for (found, looked_at, expected, shown) in [
            (&[9, 8, 7][..], 3, Some(8), 2),
            (&[9, 8, 7], all, Some(8), 2),
            (&[9, 8], 2, None, 2),
            (&[9, 8], all, Some(1), 2),
            (&[], all, Some(1), 0),
            (&[], all - 1, None, 0),
        ] {
            let mut look = look(found, looked_at);
            assert_eq!(
                next(&mut look, 2),
                expected.map(|number| EventId(id(number))),
                "{found:?} of {looked_at}"
            );
            assert_eq!(look.found.len(), shown);
        }
    }
}
