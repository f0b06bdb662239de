//! Makes schemars' schemas plain: says only what holds on the wire, in words that every validator knows.

use schemars::Schema;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::{Map, Value, json};

/// The transform.
#[derive(Debug, Clone)]
pub(super) struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(schema) = schema.as_object_mut() else { return };
        one_line_description(schema);
        known_format(schema);
        absent_is_not_null(schema);
    }
}

/// A doc comment's line breaks are its file's.
fn one_line_description(schema: &mut Map<String, Value>) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

/// A strict validator refuses a schema with a format that it doesn't know.
fn known_format(schema: &mut Map<String, Value>) {
    match schema.get("format").and_then(Value::as_str) {
        Some("ip") => {
            schema.remove("format");
            schema.insert("anyOf".to_owned(), json!([{ "format": "ipv4" }, { "format": "ipv6" }]));
        }
        // Its minimum says as much.
        Some("uint16" | "uint32" | "uint64") => {
            schema.remove("format");
        }
        _ => {}
    }
}

/// A member that need not be there is left out when there is nothing to say, and so is never null; schemars reads
/// `skip_serializing_if` as "may be missing" alone.
fn absent_is_not_null(schema: &mut Map<String, Value>) {
    let required: Vec<Value> = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties {
        if let Some(property) = property.as_object_mut().filter(|_| !required.iter().any(|one| one == name)) {
            never_null(property);
        }
    }
}

fn never_null(property: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".to_owned(), only);
        }
    }
    let null = json!({ "type": "null" });
    let is_optional = property.get("anyOf").and_then(Value::as_array).is_some_and(|any| any.contains(&null));
    if !is_optional {
        return;
    }
    if let Some(Value::Array(mut alternatives)) = property.remove("anyOf") {
        alternatives.retain(|one| *one != null);
        // Beside a `$ref`, draft 7 reads nothing else.
        let word = if alternatives.len() == 1 { "allOf" } else { "anyOf" };
        property.insert(word.to_owned(), Value::Array(alternatives));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(schema: Value) -> Value {
        let mut schema = Schema::try_from(schema).unwrap();
        Plain.transform(&mut schema);
        schema.to_value()
    }

    #[test]
    fn only_members_that_are_always_there_may_be_null() {
        let schema = plain(json!({
            "required": ["kept"],
            "properties": {
                "kept": { "type": ["string", "null"] },
                "left_out": { "type": ["string", "null"] },
                "referred_to": { "anyOf": [{ "$ref": "#/definitions/X" }, { "type": "null" }], "description": "a\nb" },
            },
        }));
        assert_eq!(schema["properties"]["kept"]["type"], json!(["string", "null"]));
        assert_eq!(schema["properties"]["left_out"]["type"], "string");
        let referred_to = json!({ "allOf": [{ "$ref": "#/definitions/X" }], "description": "a b" });
        assert_eq!(schema["properties"]["referred_to"], referred_to);
    }

    #[test]
    fn an_address_is_of_either_version_and_a_count_needs_no_format() {
        let address = plain(json!({ "type": "string", "format": "ip" }));
        assert_eq!(
            address,
            json!({ "type": "string", "anyOf": [{ "format": "ipv4" }, { "format": "ipv6" }] })
        );
        assert_eq!(plain(json!({ "format": "uint64", "minimum": 0 })), json!({ "minimum": 0 }));
        assert_eq!(plain(json!({ "format": "uuid" })), json!({ "format": "uuid" }));
    }
}
