//! The documents about our events in `docs/`, and that they are well-formed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use shared::event_documents::{asyncapi, event_schemas};

fn documents() -> Vec<(PathBuf, Value)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut documents = vec![(docs.join("asyncapi.json"), asyncapi())];
    for (event, schema) in event_schemas() {
        documents.push((docs.join(format!("schemas/{}/v{}.json", event.name, event.major)), schema));
    }
    documents
}

#[test]
fn the_committed_documents_are_those_that_the_types_make() {
    for (path, document) in documents() {
        let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is stale: run `UPDATE_DOCS=1 cargo xtask test -p shared --test it -- event_documents`",
            path.display()
        );
    }
}

#[test]
fn no_schema_is_committed_whose_event_is_gone() {
    let made: BTreeSet<_> = documents().into_iter().map(|(path, _)| path).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas");
    for event in fs::read_dir(folder).unwrap() {
        for version in fs::read_dir(event.unwrap().path()).unwrap() {
            let path = version.unwrap().path();
            assert!(made.contains(&path), "{} belongs to no event", path.display());
        }
    }
}

#[test]
fn every_schema_is_one_that_json_schema_allows() {
    for (event, schema) in event_schemas() {
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{}: {error}", event.name));
    }
}
