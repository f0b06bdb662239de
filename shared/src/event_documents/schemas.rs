//! A JSON Schema (draft 7) for the `data` of every event: what its `dataschema` names.
//!
//! Draft 7, because AsyncAPI's own tools read no newer one. A reader must let unknown members pass: inside a major
//! version, members are added.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::payloads::{PAYLOADS, Payload};
use super::plain::Plain;
use crate::contracts::EventType;

/// The schema that an event's `dataschema` names, such as `/schemas/task.created/v1`.
pub fn event_schema(data_schema: &str) -> Option<Value> {
    PAYLOADS.iter().find(|payload| payload.event.data_schema() == data_schema).map(schema)
}

/// All of them.
pub fn event_schemas() -> Vec<(EventType, Value)> {
    PAYLOADS.iter().map(|payload| (payload.event, schema(payload))).collect()
}

fn schema(payload: &Payload) -> Value {
    let settings = settings().with(|settings| settings.inline_subschemas = true);
    let mut schema = (payload.root)(settings.into_generator());
    schema.insert("$id".to_owned(), payload.event.data_schema().into());
    schema.insert("title".to_owned(), payload.event.name.into());
    schema.to_value()
}

/// As it is sent, not as it may be read: an absent member is left out, never null.
pub(super) fn settings() -> SchemaSettings {
    SchemaSettings::draft07().for_serialize().with_transform(Plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_found_by_what_dataschema_names_and_says_so() {
        for (event, schema) in event_schemas() {
            let id = schema["$id"].as_str().unwrap();
            assert_eq!(id, event.data_schema());
            assert_eq!(event_schema(&event.data_schema()), Some(schema.clone()));
            assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        }
        for unknown in
            ["/schemas/task.created/v2", "/schemas/task.created/v01", "/schemas/task.invented/v1", ""]
        {
            assert_eq!(event_schema(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_may_be_left_out_is_not_required_and_is_never_null() {
        let schema = event_schema("/schemas/task.created/v1").unwrap();
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().any(|name| name == "task"));
        for optional in ["session_id", "ip", "user_agent", "request_id"] {
            assert!(!required.iter().any(|name| name == optional), "{optional}");
            let property = schema["properties"][optional].to_string();
            assert!(property.len() > 2 && !property.contains("null"), "{optional}: {property}");
        }
    }
}
