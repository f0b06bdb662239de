//! `GET /api/audit/events/`: for staff alone.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Json;

pub use super::documented::operations;
use super::{Asked, Page, TrailEvent, read};
use crate::middleware::{Endpoint, RequestContext};
use crate::problem::Problem;
use crate::sessions::{SignedIn, staff_only};
use crate::state::AppState;

const PATH: &str = "/api/audit/events/";

/// What OPTIONS tells of it.
pub const EVENTS: Endpoint = Endpoint {
    name: "Audit Event List",
    description: "Lists events of the audit trail, newest first, for staff; ?limit= and ?cursor= turn the pages.",
    methods: &["GET"],
    fields: &[],
};

/// 200 with a bare array, and where the next page is in `Link`. The read is in the trail, too.
pub async fn list(
    State(state): State<AppState>,
    context: RequestContext,
    who: SignedIn,
    RawQuery(query): RawQuery,
) -> Result<(HeaderMap, Json<Vec<TrailEvent>>), Problem> {
    staff_only(&state, &context, &who, "audit/events".to_owned()).await?;
    let asked = Asked::of(query.as_deref())?;
    let Page { events, next } = read(&state, &context, &who, &asked).await?;
    let link = next.map(|before| format!("<{PATH}?{}>; rel=\"next\"", asked.next(before)));
    let link = link.and_then(|link| HeaderValue::try_from(link).ok());
    Ok((link.into_iter().map(|link| (header::LINK, link)).collect(), Json(events)))
}
