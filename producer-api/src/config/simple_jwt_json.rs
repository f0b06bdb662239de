//! `SIMPLE_JWT_JSON`: Django's `SIMPLE_JWT` dictionary as one JSON object. It goes before the bare names.

use serde_json::{Map, Value};
use shared::config::{Reader, Setting};

use super::{class_paths, keys, tokens};

pub(super) const SIMPLE_JWT_JSON: Setting = Setting::secret(
    "SIMPLE_JWT_JSON",
    "SimpleJWT's settings as one JSON object, as in Django's `SIMPLE_JWT`; what stands in it goes before the settings of \
     the same names. Lifetimes in seconds, keys as text, lists as lists.",
);

/// Names that SimpleJWT once had and refuses to start with. `SECRET_KEY` outside of the JSON is Django's own.
const REMOVED: &[(&str, &str)] = &[
    ("AUTH_HEADER_TYPE", "AUTH_HEADER_TYPES"),
    ("AUTH_TOKEN_CLASS", "AUTH_TOKEN_CLASSES"),
    ("SECRET_KEY", "SIGNING_KEY"),
    ("TOKEN_BACKEND_CLASS", "ALGORITHM"),
];

/// Null means something else than "not set" for these.
const NEVER_NULL: [&str; 2] = ["TOKEN_TYPE_CLAIM", "JTI_CLAIM"];

/// Lays the members of `SIMPLE_JWT_JSON`, if given, over the settings of the same names.
pub fn lay_over(reader: &mut Reader) {
    let Some(text) = reader.optional_secret(&SIMPLE_JWT_JSON) else { return };
    // What it says of keys is not repeated in the message.
    let Ok(members) = serde_json::from_str::<Map<String, Value>>(text.expose()) else {
        reader.problem("SIMPLE_JWT_JSON: it is not a JSON object such as {\"ROTATE_REFRESH_TOKENS\": true}");
        return;
    };
    for (name, value) in members {
        if let Some((_, instead)) = REMOVED.iter().find(|(removed, _)| *removed == name) {
            reader.problem(format!("SIMPLE_JWT_JSON: {name} was removed from SimpleJWT; use {instead}"));
        } else if !known(&name) {
            reader.problem(format!("SIMPLE_JWT_JSON: {name} is not a setting of SimpleJWT"));
        } else if value.is_null() && NEVER_NULL.contains(&name.as_str()) {
            reader.problem(format!("SIMPLE_JWT_JSON: {name} can't be null; tokens need this claim"));
        } else if value.is_object() {
            reader.problem(format!("SIMPLE_JWT_JSON: {name} can't be an object"));
        } else {
            reader.put(&name, text_of(value));
        }
    }
}

fn known(name: &str) -> bool {
    let mut tables = keys::SETTINGS.iter().chain(tokens::SETTINGS);
    let ours = ["JWT_SECRET_KEY", "SECRET_KEY"];
    !ours.contains(&name)
        && (tables.any(|setting| setting.name == name) || class_paths::names().any(|known| known == name))
}

/// As the setting of the same name would be written; nothing for null.
fn text_of(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}
