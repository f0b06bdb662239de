//! The document tells of every route; its examples are what its schemas say. `tests/it/openapi.rs` holds it against what
//! is served.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use shared::config::Reader;
use tower::layer::util::Identity;

use super::security::{NAME, SecurityScheme};
use crate::config::{ServeConfig, TokensConfig};
use crate::middleware::ListedRoute;
use crate::router::{document, operations, routes};

fn config(settings: &[(&str, &str)]) -> ServeConfig {
    let given = [
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
        ("AMQP_URL", "amqp://127.0.0.1:1"),
        ("SIGNING_KEY", "a secret for tests of at least 32 bytes"),
    ];
    let values = given.iter().chain(settings).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ServeConfig::read(Reader::from_values(values)).unwrap().0
}

fn listed() -> Vec<ListedRoute> {
    routes(Identity::new()).into_parts().1
}

fn the_document() -> Value {
    document_with(&[])
}

fn document_with(settings: &[(&str, &str)]) -> Value {
    let tokens: TokensConfig = config(settings).tokens;
    document(listed(), &SecurityScheme::of(&tokens)).value().clone()
}

/// Every operation: its path, its method, and what is said of it.
fn told(document: &Value) -> Vec<(String, String, Value)> {
    let mut told = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            told.push((path.clone(), method.to_uppercase(), operation.clone()));
        }
    }
    told
}

// Red if an operation tells of an endpoint that is not on the router, or twice of one.
#[test]
fn each_operation_stands_in_the_document_once() {
    let document = the_document();
    let ids: Vec<_> =
        told(&document).iter().map(|(.., told)| told["operationId"].as_str().unwrap().to_owned()).collect();
    let unique: BTreeSet<_> = ids.iter().cloned().collect();
    assert_eq!(ids.len(), unique.len());
    let written: BTreeSet<_> = operations().iter().map(|operation| operation.id.to_owned()).collect();
    assert_eq!(unique, written);
}

#[test]
fn each_operation_says_what_a_reader_needs() {
    let document = the_document();
    for (path, method, told) in told(&document) {
        for member in ["summary", "description"] {
            assert!(!told[member].as_str().unwrap().is_empty(), "{method} {path}: {member}");
        }
        let responses = told["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with(['1', '2'])), "{method} {path}");
        for (status, response) in responses {
            let response = resolved(&document, response);
            assert!(!response["description"].as_str().unwrap().is_empty(), "{method} {path} {status}");
        }
        for name in path.split(['{', '}']).skip(1).step_by(2) {
            let has = |parameter: &Value| parameter["in"] == "path" && parameter["name"] == name;
            assert!(told["parameters"].as_array().unwrap().iter().any(has), "{path}: {name}");
        }
    }
}

// Red if a body takes a field that OPTIONS does not know, or another one is required.
#[test]
fn the_fields_that_options_tells_of_are_the_documents() {
    for operation in operations().iter().filter(|operation| ["POST", "PUT"].contains(&operation.method)) {
        let options = serde_json::to_value(operation.endpoint.fields).unwrap();
        for (field, told) in operation.endpoint.fields.iter().zip(options.as_array().unwrap()) {
            if told["read_only"] == true {
                continue;
            }
            let fields = operation.fields.as_ref().unwrap();
            let found = fields.iter().find(|found| found.name == field.name()).unwrap();
            assert_eq!(json!(found.required), told["required"], "{}: {}", operation.id, found.name);
        }
    }
}

/// What a response says, wherever it stands.
fn resolved<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    match response["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => response,
    }
}

fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
        "allOf": [schema],
    });
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

fn check_examples(document: &Value, body: &Value, place: &str) -> usize {
    let Some(examples) = body["examples"].as_object() else { return 0 };
    let validator = validator(document, &body["schema"]);
    for (name, example) in examples {
        if let Err(fault) = validator.validate(&example["value"]) {
            panic!("{place}, {name}: {fault} in {}", example["value"]);
        }
    }
    examples.len()
}

#[test]
fn every_example_is_what_its_schema_says() {
    let (document, mut checked) = (the_document(), 0);
    for (path, method, told) in told(&document) {
        let place = format!("{method} {path}");
        let bodies = told["responses"].as_object().unwrap().values().chain([&told["requestBody"]]);
        for content in bodies.filter_map(|body| resolved(&document, body)["content"].as_object()) {
            for (media_type, body) in content {
                checked += check_examples(&document, body, &format!("{place} {media_type}"));
            }
        }
    }
    assert!(checked > 500, "only {checked}");
}

#[test]
fn the_security_scheme_is_the_settings() {
    let scheme = |settings| document_with(settings)["components"]["securitySchemes"][NAME].clone();
    let usual = scheme(&[]);
    assert_eq!(
        (&usual["type"], &usual["scheme"], &usual["x-token-prefix"]),
        (&json!("http"), &json!("bearer"), &json!(""))
    );
    assert_eq!(scheme(&[("AUTH_HEADER_TYPES", "JWT, Bearer")])["type"], "http");
    let other = scheme(&[("AUTH_HEADER_TYPES", "JWT"), ("AUTH_HEADER_NAME", "HTTP_X_ACCESS_TOKEN")]);
    assert_eq!(
        (&other["type"], &other["in"], &other["name"], &other["x-token-prefix"]),
        (&json!("apiKey"), &json!("header"), &json!("x-access-token"), &json!("JWT "))
    );
}

#[test]
fn the_committed_document_is_this_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let document = format!("{}\n", serde_json::to_string_pretty(&the_document()).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == document, "docs/openapi.json is stale: run `UPDATE_DOCS=1 cargo xtask check tests`");
}

// Red if a schema refuses what `extract::FieldCheck` and the domains' rules take, or takes what they refuse.
#[test]
fn a_schema_takes_what_the_fields_take() {
    let document = the_document();
    let long = |count: usize| "x".repeat(count);
    let task = |title: Value, duration: Value| json!({ "title": title, "duration": duration });
    let name = |username: &str| json!({ "username": username, "email": "a@b.c", "password": "p" });
    let mail = |email: &str| json!({ "username": "a", "email": email, "password": "p" });
    for (path, body, is_taken) in [
        ("/api/tasks/", task(json!(" a "), json!("1")), true),
        ("/api/tasks/", task(json!(7.5), json!(90)), true),
        ("/api/tasks/", task(json!(long(200)), json!("1 02:03:04.5")), true),
        ("/api/tasks/", task(json!(format!(" {}\n", long(200))), json!("PT1H30M")), true),
        ("/api/tasks/", task(json!("\u{feff}"), json!("1 day 02:00:00")), true),
        ("/api/tasks/", task(json!(long(201)), json!("1")), false),
        ("/api/tasks/", task(json!(" \u{1c}\u{85}\u{3000}"), json!("1")), false),
        ("/api/tasks/", task(json!("a\0b"), json!("1")), false),
        ("/api/tasks/", task(json!(true), json!("1")), false),
        ("/api/tasks/", task(json!("a"), json!("soon")), false),
        ("/api/tasks/", task(json!("a"), json!(-5)), false),
        ("/api/tasks/", task(json!("a"), json!(null)), false),
        ("/api/tasks/", json!({ "title": "a" }), false),
        ("/api/tasks/", json!([]), false),
        ("/api/register/", name("größe.7@x+y-z_"), true),
        ("/api/register/", name(" a\t"), true),
        ("/api/register/", name(&long(151)), false),
        ("/api/register/", name("a b"), false),
        ("/api/register/", mail("o'brien+x@büro.example"), true),
        ("/api/register/", mail("a@b"), false),
        ("/api/register/", mail("a..b@c.d"), false),
        ("/api/register/", mail("a@-b.c"), false),
    ] {
        let content = &document["paths"][path]["post"]["requestBody"]["content"];
        let validator = validator(&document, &content["application/json"]["schema"]);
        assert_eq!(validator.is_valid(&body), is_taken, "{path}: {body}");
    }
}
