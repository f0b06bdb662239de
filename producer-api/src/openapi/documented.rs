//! What the document says of itself, of the page, and of the probes, which every program has.

use serde_json::json;

use super::http::SCHEMA;
use super::operation::Operation;
use super::swagger::{FILES, INITIALIZER, SWAGGER, SWAGGER_FILE};
use crate::middleware::{Access, Endpoint, ListedRoute};
use crate::problem::Problem;

const TAG: &str = "Service";

const HEALTHZ: Endpoint =
    Endpoint { name: "Liveness", description: "Whether the process lives.", methods: &["GET"], fields: &[] };

const READYZ: Endpoint = Endpoint {
    name: "Readiness",
    description: "Whether the process does its work, and what it stands on: a part that is required and down makes it \
                  unready, others are told.",
    methods: &["GET"],
    fields: &[],
};

const METRICS: Endpoint = Endpoint {
    name: "Metrics",
    description: "What the process counts and measures, for Prometheus. Not for strangers: a proxy should not pass it on.",
    methods: &["GET"],
    fields: &[],
};

/// The routes that `shared::lifecycle` adds.
pub fn probes() -> [ListedRoute; 3] {
    [("/healthz", &HEALTHZ), ("/readyz", &READYZ), ("/metrics", &METRICS)]
        .map(|(path, endpoint)| ListedRoute { path, endpoint, access: Access::Probe })
}

/// The operations of this room and of the probes.
pub fn operations() -> Vec<Operation> {
    let files: Vec<_> = FILES.into_iter().chain([INITIALIZER]).collect();
    let file = json!({ "type": "string", "enum": files });
    let readiness = json!({
        "type": "object",
        "required": ["status", "checks"],
        "properties": {
            "status": { "type": "string", "enum": ["ready", "degraded", "not ready"] },
            "checks": {
                "type": "object",
                "description": "Each part: `up`, or what is the matter with it.",
                "additionalProperties": { "type": "string" },
            },
        },
    });
    let unready = json!({ "oneOf": [readiness, { "$ref": "#/components/schemas/Detail" }] });
    let ready = json!({ "status": "ready", "checks": { "database": "up", "relay": "up" } });
    let stopping = json!({ "status": "not ready", "checks": { "process": "stopping" } });
    let alive =
        json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "alive" } } });
    let etag = json!({ "type": "string", "pattern": "^\"[A-Za-z0-9_-]+\"$" });
    vec![
        Operation::new((TAG, &SCHEMA), "GET", "getSchema", "The document of this API")
            .request_header(
                "If-None-Match",
                &json!({ "type": "string" }),
                "The `ETag` of the document that is there.",
            )
            .gives_body(
                200,
                "The document.",
                "application/json",
                (json!({ "type": "object", "required": ["openapi"] }), None),
            )
            .gives_nothing(304, "It is the one that the client has.")
            .always_with_header(200, "ETag", &etag, "Changes with the document.")
            .always_with_header(304, "ETag", &etag, "Changes with the document."),
        Operation::new((TAG, &SWAGGER), "GET", "showSwagger", "This page").gives_page(200, "The page."),
        Operation::new((TAG, &SWAGGER_FILE), "GET", "getSwaggerFile", "A file of this page")
            .path("file", &file, "Its name.")
            .gives_body(200, "The file.", "text/javascript", (json!({ "type": "string" }), None))
            .gives_body(200, "", "text/css", (json!({ "type": "string" }), None))
            .gives_body(200, "", "image/png", (json!({}), None))
            .refuses("another name", Problem::not_found()),
        Operation::new((TAG, &HEALTHZ), "GET", "getHealth", "Does it live?").gives_body(
            200,
            "It lives.",
            "application/json",
            (alive, Some(json!({ "status": "alive" }))),
        ),
        Operation::new((TAG, &READYZ), "GET", "getReadiness", "Does it work?")
            .gives_body(200, "It works.", "application/json", (readiness, Some(ready)))
            .gives_body(503, "It doesn't.", "application/json", (unready, Some(stopping))),
        Operation::new((TAG, &METRICS), "GET", "getMetrics", "What does it count?")
            .gives_body(200, "The metrics.", "text/plain", (json!({ "type": "string" }), None))
            .gives_body(200, "", "application/openmetrics-text", (json!({ "type": "string" }), None)),
    ]
}
