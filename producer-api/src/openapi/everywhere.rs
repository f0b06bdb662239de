//! What can happen to any request of a kind, whatever its endpoint does.

use serde_json::{Map, Value, json};
use shared::ids::RequestId;
use uuid::Uuid;

use super::answer::{Answer, reference};
use super::operation::Operation;
use super::security::SecurityScheme;
use crate::middleware::{Access, ListedRoute};
use crate::problem::{Kind, NON_FIELD_ERRORS, PROBLEM_CONTENT_TYPE, Problem};
use crate::tokens::{TokenFault, TokenKind};

/// The request whose problems are shown.
const REQUEST: RequestId = RequestId(Uuid::from_u128(0x0193_5d3c_7d52_7d4e_9d2a_5b0c_4f1e_8a77));

/// All problems of an operation: its own, and those of its kind.
pub(super) fn problems(
    operation: &Operation,
    route: &ListedRoute,
    security: &SecurityScheme,
) -> Vec<(&'static str, Problem)> {
    let mut problems = operation.problems.clone();
    if operation.fields.is_some() {
        problems.extend(of_bodies());
    }
    if route.access == Access::Protected {
        problems.extend(of_callers(security));
    }
    if matches!(route.access, Access::Open | Access::Protected) {
        problems.push(("nothing acceptable", Problem::not_acceptable()));
    }
    if operation.method != "GET" {
        problems.push(("a page of a foreign origin", Problem::foreign_origin()));
    }
    problems.push(("a fault of the server", Problem::internal()));
    problems.push(("an outage or an overload", Problem::unavailable(5)));
    problems
}

fn of_bodies() -> [(&'static str, Problem); 5] {
    [
        ("no JSON", Problem::parse_error("JSON parse error - expected value at line 1 column 1")),
        ("no object", Problem::non_field_error("Invalid data. Expected a dictionary, but got list.")),
        ("a body that comes too slowly", Problem::request_timeout()),
        ("a body over the limit", Problem::too_large(2_621_440)),
        ("another media type", Problem::unsupported_media_type("text/plain")),
    ]
}

fn of_callers(security: &SecurityScheme) -> Vec<(&'static str, Problem)> {
    let refused = |fault: &TokenFault| Problem::token_refused([(TokenKind::Access, fault.to_string())]);
    let mut problems = vec![
        ("no token", Problem::not_authenticated()),
        ("no word behind the scheme, or two", Problem::bad_authorization_header()),
        ("a token that has run out", refused(&TokenFault::Expired)),
        ("a session that is over", refused(&TokenFault::Blacklisted)),
        ("a user that is gone", Problem::user_not_found()),
        ("a user that is switched off", Problem::user_inactive()),
    ];
    if security.marks_passwords() {
        problems.push(("another password", Problem::password_changed()));
    }
    problems
}

/// The answers to all problems, by status, in both media types.
pub(super) fn refusals(problems: &[(&'static str, Problem)]) -> Vec<(u16, Answer)> {
    let mut statuses: Vec<_> = problems.iter().map(|(_, problem)| problem.status()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let refusal = |status: &axum::http::StatusCode| {
        let of_status = problems.iter().filter(|(_, problem)| problem.status() == *status);
        (status.as_u16(), refusal(&of_status.collect::<Vec<_>>()))
    };
    statuses.iter().map(refusal).collect()
}

fn refusal(problems: &[&(&'static str, Problem)]) -> Answer {
    let mut titles: Vec<_> = problems.iter().map(|(_, problem)| problem.kind().title()).collect();
    titles.dedup();
    let mut answer = Answer::new(&format!("{}.", titles.join("; ")));
    let (mut bodies, mut documents) = (Map::new(), Map::new());
    let (mut details, mut fields) = (false, false);
    for (name, problem) in problems {
        let (body, document) = problem.examples(REQUEST);
        if document.get("errors").is_some() {
            fields = true;
        } else {
            details = true;
        }
        bodies.insert((*name).to_owned(), json!({ "value": body }));
        documents.insert((*name).to_owned(), json!({ "value": document }));
    }
    let both = [("FieldErrors", fields), ("Detail", details)];
    let schemas = both.into_iter().filter(|(_, there)| *there).map(|(name, _)| reference("schemas", name));
    let mut schemas: Vec<_> = schemas.collect();
    let schema = if schemas.len() > 1 { json!({ "oneOf": schemas }) } else { schemas.remove(0) };
    answer.body("application/json", &schema, bodies);
    answer.body(PROBLEM_CONTENT_TYPE, &reference("schemas", "Problem"), documents);
    answer
}

/// Adds the headers that come with a status, and those that every answer has.
pub(super) fn add_headers(status: u16, answer: &mut Answer, has_allow: bool) {
    answer.header("X-Request-ID", reference("headers", "RequestId"));
    if has_allow {
        // Who is refused, or given up, before the route is found gets none.
        let early = matches!(status, 403 | 500 | 503);
        answer.header("Allow", reference("headers", if early { "AllowIfRouted" } else { "Allow" }));
    }
    match status {
        401 => answer.header("WWW-Authenticate", reference("headers", "Challenge")),
        429 | 503 => answer.header("Retry-After", reference("headers", "RetryAfter")),
        _ => {}
    }
}

/// What the references above lead to.
pub(super) fn components(security: &SecurityScheme) -> Map<String, Value> {
    let header =
        |words: &str, schema: Value| json!({ "description": words, "required": true, "schema": schema });
    let challenge = format!("{} realm=\"api\"", security.word());
    let components = json!({
        "headers": {
            "RequestId": header(
                "The request's id: the caller's own, if that was a UUID, or a new one. It stands in the log and in events.",
                json!({ "type": "string", "format": "uuid" }),
            ),
            "Allow": header("The methods of the path.", json!({ "type": "string" })),
            "AllowIfRouted": {
                "description": "The methods of the path, unless the request was answered before its route was found.",
                "schema": { "type": "string" },
            },
            "Challenge": header("The scheme of tokens.", json!({ "type": "string", "const": challenge })),
            "RetryAfter": header(
                "After how many seconds it is worth trying again.",
                json!({ "type": "integer", "minimum": 0 }),
            ),
        },
        "schemas": { "Detail": detail(), "FieldErrors": field_errors(), "Problem": document() },
    });
    if let Value::Object(components) = components { components } else { Map::new() }
}

fn detail() -> Value {
    let codes: Vec<_> = Kind::ALL.iter().filter_map(|kind| kind.code_in_drf_body()).collect();
    json!({
        "type": "object",
        "description": "What went wrong, in Django REST framework's form.",
        "required": ["detail"],
        "properties": {
            "detail": { "type": "string" },
            "code": { "type": "string", "enum": codes },
            "messages": messages(),
        },
        "additionalProperties": false,
    })
}

fn field_errors() -> Value {
    json!({
        "type": "object",
        "description": format!(
            "What is wrong with which field, in Django REST framework's form; `{NON_FIELD_ERRORS}` for the body as a whole."
        ),
        "minProperties": 1,
        "additionalProperties": texts(),
    })
}

fn document() -> Value {
    let codes: Vec<_> = Kind::ALL.iter().map(|kind| kind.code()).collect();
    let types: Vec<_> = Kind::ALL.iter().map(|kind| kind.type_uri()).collect();
    json!({
        "type": "object",
        "description": "An RFC 9457 problem document: what went wrong, for whoever names application/problem+json in Accept.",
        "required": ["type", "title", "status", "detail", "code", "instance"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "enum": types },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string" },
            "code": { "type": "string", "enum": codes },
            "instance": { "type": "string", "format": "uri", "description": "The request's id." },
            "errors": reference("schemas", "FieldErrors"),
            "messages": messages(),
        },
        "additionalProperties": false,
    })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "minItems": 1 })
}

fn messages() -> Value {
    json!({
        "type": "array",
        "description": "Why the token is none, for each class of tokens that opens routes.",
        "minItems": 1,
        "items": {
            "type": "object",
            "required": ["token_class", "token_type", "message"],
            "properties": {
                "token_class": { "type": "string" },
                "token_type": { "type": "string" },
                "message": { "type": "string" },
            },
            "additionalProperties": false,
        },
    })
}
