//! A row as a line of JSON. `body` is a text: the event's exact bytes, whatever white space is in them.

use serde::Serialize;

use super::store::Row;

/// Appends the line.
pub(super) fn write(row: &Row, line: &mut Vec<u8>) -> serde_json::Result<()> {
    serde_json::to_writer(
        &mut *line,
        &Line {
            event_id: row.event_id,
            r#type: &row.event_type,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            sequence: row.sequence,
            user_id: row.user_id,
            username: row.username.as_deref(),
            session_id: row.session_id,
            jti: row.jti.as_deref(),
            ip: row.ip.map(|network| network.ip()),
            user_agent: row.user_agent.as_deref(),
            outcome: &row.outcome,
            reason: row.reason.as_deref(),
            request_id: row.request_id,
            trace_id: row.trace_id.as_deref(),
            body: &row.body,
        },
    )?;
    line.push(b'\n');
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    event_id: uuid::Uuid,
    r#type: &'a str,
    occurred_at: chrono::DateTime<chrono::Utc>,
    recorded_at: chrono::DateTime<chrono::Utc>,
    sequence: Option<i64>,
    user_id: Option<i64>,
    username: Option<&'a str>,
    session_id: Option<uuid::Uuid>,
    jti: Option<&'a str>,
    ip: Option<std::net::IpAddr>,
    user_agent: Option<&'a str>,
    outcome: &'a str,
    reason: Option<&'a str>,
    request_id: Option<uuid::Uuid>,
    trace_id: Option<&'a str>,
    body: &'a str,
}
