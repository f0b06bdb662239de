//! `/api/events/schema/` and `/schemas/{type}/v{major}`: what strangers read of our events. An event's `dataschema` names
//! the latter.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::event_documents;

use crate::middleware::Endpoint;
use crate::openapi::Operation;
use crate::problem::Problem;

/// What OPTIONS tells.
pub const ASYNCAPI: Endpoint = Endpoint {
    name: "Events",
    description: "Shows the AsyncAPI document: every exchange, queue and message.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells.
pub const EVENT_SCHEMA: Endpoint = Endpoint {
    name: "Event Schema",
    description: "Shows the JSON Schema of an event's data.",
    methods: &["GET"],
    fields: &[],
};

/// What the document of the API says of the two.
pub fn operations() -> Vec<Operation> {
    let asyncapi = ASYNCAPI_TYPE.split(';').next().unwrap_or(ASYNCAPI_TYPE);
    let object = || json!({ "type": "object" });
    let text = |example: &str| json!({ "type": "string", "examples": [example] });
    vec![
        Operation::new(("Service", &ASYNCAPI), "GET", "getEventsDocument", "The document of all events")
            .describe("The AsyncAPI document: every exchange, queue and message.")
            .gives_body(200, "The document.", asyncapi, (object(), None)),
        Operation::new(("Service", &EVENT_SCHEMA), "GET", "getEventSchema", "The schema of an event")
            .describe("The JSON Schema of an event's data, which its `dataschema` names.")
            .path("type", &text("auth.login.succeeded"), "The event's type, such as `auth.login.succeeded`.")
            .path("version", &text("v1"), "Its major version, such as `v1`.")
            .gives_body(200, "The schema.", SCHEMA_TYPE, (object(), None))
            .refuses("no such event or version", Problem::not_found()),
    ]
}

/// AsyncAPI's own media type.
const ASYNCAPI_TYPE: &str = "application/vnd.aai.asyncapi+json;version=3.1.0";
const SCHEMA_TYPE: &str = "application/schema+json";
/// A newer release may add members.
const CACHE_CONTROL: &str = "public, max-age=300";

/// 200 and the AsyncAPI document.
pub async fn asyncapi() -> Response {
    document(ASYNCAPI_TYPE, &event_documents::asyncapi())
}

/// 200 and the schema; 404 if there is no such event or version.
pub async fn event_schema(path: Result<Path<(String, String)>, PathRejection>) -> Result<Response, Problem> {
    let Ok(Path((name, version))) = path else { return Err(Problem::not_found()) };
    let schema = event_documents::event_schema(&format!("/schemas/{name}/{version}"));
    schema.map(|schema| document(SCHEMA_TYPE, &schema)).ok_or_else(Problem::not_found)
}

fn document(media_type: &'static str, document: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, CACHE_CONTROL)];
    (headers, document.to_string()).into_response()
}
