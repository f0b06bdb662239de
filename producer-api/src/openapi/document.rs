//! The document: every route of the router, with what its domain says of each method.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::{Map, Value, json};
use utoipa::openapi::{Info, License, OpenApiBuilder};

use super::answer::{Answer, reference};
use super::everywhere::{add_headers, components, problems, refusals};
use super::operation::Operation;
use super::security::{NAME, SecurityScheme};
use crate::middleware::{Access, ListedRoute};

const DESCRIPTION: &str = "\
Accounts, sessions, tokens and tasks. The wire of djangorestframework-simplejwt's clients, and sessions behind the tokens.

**Try it**: run `POST /api/login/` or `POST /api/token/` on this page, or paste under *Authorize* the token that \
[the page](/real_data) copies; it is kept until this page is reloaded, and sent with what asks for one.

**Paths** are good with and without the slash at the end. Members and parameters that nobody asked for are ignored. Of a \
parameter that comes twice the last one counts.

**Errors** are Django REST framework's bodies, as `application/json`; RFC 9457 documents, as `application/problem+json`, for \
whoever names that type in `Accept`. Headers don't differ.

**Other methods** of a path are 405 with `Allow`. `HEAD` comes with `GET`. `OPTIONS` tells what a path takes. What is no HTTP is \
400 or 431 without a body.";

const TAGS: [(&str, &str); 8] = [
    ("Tokens", "What clients of SimpleJWT know, to the letter."),
    ("Sessions", "Logging in and out, and what is logged in."),
    ("Accounts", "Registering, mailed links, passwords, one's own profile."),
    ("Tasks", "One's own tasks."),
    ("Staff", "Other people's accounts, for staff."),
    ("Jobs", "Schedules and runs of jobs, for staff."),
    ("Page", "What `/real_data` loads and asks for."),
    ("Service", "Keys, probes, and documents like this one."),
];

/// The document as it is served; cheap to clone.
#[derive(Debug, Clone)]
pub struct Document {
    value: Arc<Value>,
    /// As it is sent.
    pub(super) bytes: Bytes,
}

impl Document {
    /// The document of these routes. A method of which no operation tells is left out; a test sees to it that there is none.
    pub fn new(routes: &[ListedRoute], operations: &[Operation], security: &SecurityScheme) -> Self {
        let info = Info::builder()
            .title("Warren")
            .version(env!("CARGO_PKG_VERSION"))
            .description(Some(DESCRIPTION))
            .license(Some(License::builder().name("MIT").identifier(Some("MIT")).build()));
        let root = OpenApiBuilder::new().info(info.build()).build();
        let mut value = serde_json::to_value(root).unwrap_or_default();
        value["servers"] = json!([{ "url": "/", "description": "This server" }]);
        value["tags"] =
            TAGS.iter().map(|(name, words)| json!({ "name": name, "description": words })).collect();
        value["paths"] = Value::Object(paths(routes, operations, security));
        let mut components = components(security);
        components.insert("securitySchemes".to_owned(), json!({ NAME: security.render() }));
        value["components"] = Value::Object(components);
        for (name, schema) in operations.iter().flat_map(|operation| &operation.schemas) {
            value["components"]["schemas"][name] = schema.clone();
        }
        share_responses(&mut value);
        let bytes = Bytes::from(value.to_string());
        Self { value: Arc::new(value), bytes }
    }

    /// The document.
    pub fn value(&self) -> &Value {
        &self.value
    }
}

/// Responses that several operations have become components, called after their status: the document is a fifth of its size
/// then, and readers see what is the same.
fn share_responses(document: &mut Value) {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for_each_response(document, &mut |status, response| {
        *counts.entry((status.to_owned(), response.to_string())).or_default() += 1;
    });
    let (mut names, mut of_status) = (BTreeMap::new(), BTreeMap::<String, usize>::new());
    for (key, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
        let number = of_status.entry(key.0.clone()).or_default();
        *number += 1;
        let name =
            if *number == 1 { format!("Status{}", key.0) } else { format!("Status{}_{number}", key.0) };
        names.insert(key, name);
    }
    let mut shared = Map::new();
    for_each_response(document, &mut |status, response| {
        if let Some(name) = names.get(&(status.to_owned(), response.to_string())) {
            shared.insert(name.clone(), std::mem::replace(response, reference("responses", name)));
        }
    });
    document["components"]["responses"] = Value::Object(shared);
}

fn for_each_response(document: &mut Value, act: &mut dyn FnMut(&str, &mut Value)) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = items.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        let responses = operation["responses"].as_object_mut();
        responses.into_iter().flatten().for_each(|(status, response)| act(status, response));
    }
}

fn paths(routes: &[ListedRoute], operations: &[Operation], security: &SecurityScheme) -> Map<String, Value> {
    let mut paths = Map::new();
    for route in routes {
        let told = operations.iter().filter(|operation| {
            operation.endpoint.name == route.endpoint.name
                && route.endpoint.methods.contains(&operation.method)
        });
        let item =
            told.map(|operation| (operation.method.to_lowercase(), render(operation, route, security)));
        paths.insert(route.path.to_owned(), Value::Object(item.collect()));
    }
    paths
}

fn render(operation: &Operation, route: &ListedRoute, security: &SecurityScheme) -> Value {
    let mut answers: Vec<(u16, Answer)> =
        operation.answers.iter().map(|(status, answer)| (*status, answer.clone())).collect();
    for (status, mut refusal) in refusals(&problems(operation, route, security)) {
        match answers.iter_mut().find(|(there, _)| *there == status) {
            // A page for browsers and a problem for everybody else.
            Some((_, answer)) => answer.take_bodies(&mut refusal),
            None => answers.push((status, refusal)),
        }
    }
    let mut responses = Map::new();
    for (status, mut answer) in answers {
        add_headers(status, &mut answer, route.has_allow());
        responses.insert(status.to_string(), answer.render());
    }
    // hyper's own, before anything of ours.
    responses.insert("431".to_owned(), json!({ "description": "The request's head is too large." }));
    let mut rendered = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "responses": responses,
        "security": required(operation, route),
    });
    if !operation.parameters.is_empty() {
        rendered["parameters"] = json!(operation.parameters);
    }
    if let Some(body) = operation.request_body() {
        rendered["requestBody"] = body;
    }
    rendered
}

fn required(operation: &Operation, route: &ListedRoute) -> Value {
    match (route.access, operation.may_sign_in) {
        (Access::Protected, _) => json!([{ NAME: [] }]),
        (_, true) => json!([{ NAME: [] }, {}]),
        _ => json!([]),
    }
}
