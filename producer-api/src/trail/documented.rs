//! What the document says of the trail.

use serde_json::{Value, json};

use super::asked::{Asked, LIMIT, LIMIT_MAX};
use super::http::EVENTS;
use super::read::{LOOKED_AT_MAX, TrailEvent};
use crate::openapi::Operation;
use crate::problem::Problem;

const TAG: &str = "Staff";

/// The operations of the trail.
pub fn operations() -> Vec<Operation> {
    let link = json!({
        "type": "string",
        "pattern": "^</api/audit/events/\\?limit=[0-9]+&cursor=[0-9a-f-]{36}(&[a-z_]+=[^&<>]*)*>; rel=\"next\"$",
    });
    let words = format!(
        "Events of the audit trail, newest first, page by page. Filters leave out what doesn't fit. A request looks at \
         {LOOKED_AT_MAX} events at the most: a page may have few of them, or none, and `Link` to the next one all the \
         same. Every read is an event itself, `operator.trail.read`."
    );
    let operation =
        Operation::new((TAG, &EVENTS), "GET", "listAuditEvents", "The audit trail").describe(&words);
    let operation = filters()
        .into_iter()
        .fold(operation, |operation, (name, schema, words)| operation.query(name, &schema, words));
    vec![
        operation
            .query(
                "limit",
                &json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT }),
                "How many.",
            )
            .query("cursor", &uuid(), "Before which event to begin; `Link` has it.")
            .gives_list::<TrailEvent>("A page of events.", LIMIT_MAX.into(), json!([event()]))
            .with_header(200, "Link", &link, "Where the next page is, if there is one.")
            .refuses("not staff", Problem::permission_denied())
            .refuses("a limit out of bounds", wrong("limit=0"))
            .refuses("filters that can't be read", wrong("user_id=x&since=yesterday")),
    ]
}

fn filters() -> Vec<(&'static str, Value, &'static str)> {
    let text = || json!({ "type": "string", "pattern": "^[^\\u0000]*$" });
    let instant = || json!({ "type": "string", "format": "date-time" });
    let ip =
        json!({ "anyOf": [{ "type": "string", "format": "ipv4" }, { "type": "string", "format": "ipv6" }] });
    vec![
        ("type", text(), "Of this type, such as `auth.login.failed`."),
        ("user_id", json!({ "type": "integer", "format": "int64" }), "About this account."),
        ("username", text(), "That carried this username."),
        ("session_id", uuid(), "Of this session."),
        ("ip", ip, "From this address."),
        ("outcome", json!({ "enum": ["success", "failure"] }), "That went well, or did not."),
        ("request_id", uuid(), "Of the request with this `X-Request-Id`."),
        ("trace_id", json!({ "type": "string", "pattern": "^[0-9a-f]{32}$" }), "Of this trace."),
        ("since", instant(), "Not before this instant."),
        ("until", instant(), "Before this instant."),
    ]
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn wrong(query: &str) -> Problem {
    Asked::of(Some(query)).err().unwrap_or_else(Problem::internal)
}

fn event() -> Value {
    json!({
        "event_id": "01a22ca1-5f40-7d31-8a1e-6f0cf3a1b2c3",
        "type": "auth.login.failed",
        "occurred_at": "2026-11-28T10:02:01.123456Z",
        "recorded_at": "2026-11-28T10:02:01.134567Z",
        "sequence": 881_204,
        "user_id": 7,
        "username": "ada",
        "session_id": null,
        "jti": null,
        "ip": "203.0.113.9",
        "user_agent": "curl/8",
        "outcome": "failure",
        "reason": "wrong_password",
        "request_id": "018f0000-0000-4000-8000-000000000002",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "body": { "specversion": "1.0", "type": "auth.login.failed", "data": { "user_id": 7, "username": "ada" } },
    })
}
