//! `SIMPLE_JWT_JSON`: Django's `SIMPLE_JWT` dictionary as one JSON object. It goes before the bare names.

use serde_json::{Map, Value};
use shared::config::{Reader, Setting};

use super::class_paths;

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

/// What a setting may be in the JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Boolean,
    Duration,
    List,
}

/// SimpleJWT's own names and nothing else; beside them those of [`class_paths`], all of them texts.
const KINDS: &[(&str, Kind)] = &[
    ("ACCESS_TOKEN_LIFETIME", Kind::Duration),
    ("REFRESH_TOKEN_LIFETIME", Kind::Duration),
    ("ROTATE_REFRESH_TOKENS", Kind::Boolean),
    ("BLACKLIST_AFTER_ROTATION", Kind::Boolean),
    ("UPDATE_LAST_LOGIN", Kind::Boolean),
    ("ALGORITHM", Kind::Text),
    ("SIGNING_KEY", Kind::Text),
    ("VERIFYING_KEY", Kind::Text),
    ("AUDIENCE", Kind::List),
    ("ISSUER", Kind::Text),
    ("JWK_URL", Kind::Text),
    ("LEEWAY", Kind::Duration),
    ("AUTH_HEADER_TYPES", Kind::List),
    ("AUTH_HEADER_NAME", Kind::Text),
    ("USER_ID_FIELD", Kind::Text),
    ("USER_ID_CLAIM", Kind::Text),
    ("AUTH_TOKEN_CLASSES", Kind::List),
    ("TOKEN_TYPE_CLAIM", Kind::Text),
    ("JTI_CLAIM", Kind::Text),
    ("SLIDING_TOKEN_REFRESH_EXP_CLAIM", Kind::Text),
    ("SLIDING_TOKEN_LIFETIME", Kind::Duration),
    ("SLIDING_TOKEN_REFRESH_LIFETIME", Kind::Duration),
    ("CHECK_REVOKE_TOKEN", Kind::Boolean),
    ("REVOKE_TOKEN_CLAIM", Kind::Text),
    ("CHECK_USER_IS_ACTIVE", Kind::Boolean),
];

/// Null is how Django says "not set" of these.
const MAY_BE_NULL: [&str; 6] = ["AUDIENCE", "ISSUER", "JSON_ENCODER", "JWK_URL", "LEEWAY", "VERIFYING_KEY"];

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
        } else if let Some(kind) = kind_of(&name) {
            lay_one_over(reader, &name, kind, value);
        } else {
            reader.problem(format!("SIMPLE_JWT_JSON: {name} is not a setting of SimpleJWT"));
        }
    }
}

fn kind_of(name: &str) -> Option<Kind> {
    let own = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    own.or_else(|| class_paths::names().any(|known| known == name).then_some(Kind::Text))
}

/// The message says what was given, and never the value: it may be a key.
fn lay_one_over(reader: &mut Reader, name: &str, kind: Kind, value: Value) {
    let expected = match kind {
        Kind::Text => "a text",
        Kind::Boolean => "true or false",
        Kind::Duration => "a number of seconds, or a text such as \"5m\"",
        Kind::List => "a list of texts, or a text",
    };
    let given = match &value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list with something else in it",
        Value::Object(_) => "an object",
    };
    let given = if value.is_array() && kind != Kind::List { "a list" } else { given };
    match text_of(kind, value) {
        Some(text) => reader.put(name, Some(text)),
        None if given == "null" && MAY_BE_NULL.contains(&name) => reader.put(name, None),
        None => reader.problem(format!("SIMPLE_JWT_JSON: {name} can't be {given}; give {expected}")),
    }
}

/// As the setting of the same name would be written, if the value is of this kind.
fn text_of(kind: Kind, value: Value) -> Option<String> {
    match (kind, value) {
        // Which texts will do is judged where the bare setting is read.
        (_, Value::String(text)) => Some(text),
        (Kind::Boolean, value @ Value::Bool(_)) | (Kind::Duration, value @ Value::Number(_)) => {
            Some(value.to_string())
        }
        (Kind::List, Value::Array(items)) if items.iter().all(Value::is_string) => {
            Some(Value::Array(items).to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{keys, tokens};

    /// The problems with this JSON, and what stands under `name` afterwards.
    fn laid_over(json: &str, setting: &Setting) -> (Result<(), String>, Option<String>) {
        let values = [("SIMPLE_JWT_JSON".to_owned(), json.to_owned())];
        let mut reader = Reader::from_values(values);
        lay_over(&mut reader);
        let value = reader.optional(setting);
        (reader.finish(()).map_err(|error| error.to_string()), value)
    }

    #[test]
    fn a_value_of_a_wrong_type_names_the_setting_and_what_it_should_be_but_not_the_value() {
        let text = "can't be a list; give a text";
        for (json, words) in [
            (r#"{"ISSUER": ["hidden"]}"#, format!("ISSUER {text}")),
            (r#"{"ISSUER": 7}"#, "ISSUER can't be a number; give a text".to_owned()),
            (r#"{"USER_ID_CLAIM": ["hidden"]}"#, format!("USER_ID_CLAIM {text}")),
            (r#"{"JTI_CLAIM": true}"#, "JTI_CLAIM can't be true or false; give a text".to_owned()),
            (r#"{"AUDIENCE": 5}"#, "AUDIENCE can't be a number; give a list of texts, or a text".to_owned()),
            (
                r#"{"AUDIENCE": ["hidden", 5]}"#,
                "AUDIENCE can't be a list with something else in it".to_owned(),
            ),
            (r#"{"AUTH_HEADER_TYPES": true}"#, "AUTH_HEADER_TYPES can't be true or false".to_owned()),
            (r#"{"SIGNING_KEY": ["hidden, and long enough to be a secret"]}"#, format!("SIGNING_KEY {text}")),
            (r#"{"SIGNING_KEY": {"hidden": 1}}"#, "SIGNING_KEY can't be an object; give a text".to_owned()),
            (r#"{"SIGNING_KEY": null}"#, "SIGNING_KEY can't be null; give a text".to_owned()),
            (r#"{"JWK_URL": ["hidden"]}"#, format!("JWK_URL {text}")),
            (r#"{"LEEWAY": true}"#, "LEEWAY can't be true or false; give a number of seconds".to_owned()),
            (r#"{"ROTATE_REFRESH_TOKENS": 1}"#, "ROTATE_REFRESH_TOKENS can't be a number".to_owned()),
            (r#"{"ROTATE_REFRESH_TOKENS": null}"#, "can't be null; give true or false".to_owned()),
            (r#"{"TOKEN_USER_CLASS": ["hidden"]}"#, format!("TOKEN_USER_CLASS {text}")),
        ] {
            let problems = laid_over(json, &SIMPLE_JWT_JSON).0.expect_err(json);
            assert!(problems.contains("1 place(s)") && problems.contains(&words), "{json}: {problems}");
            assert!(!problems.contains("hidden"), "{json}: {problems}");
        }
    }

    #[test]
    fn a_value_of_the_right_type_is_read_as_the_bare_setting_would_be() {
        for (name, value, text) in [
            ("ISSUER", r#""warren""#, Some("warren")),
            ("ISSUER", "null", None),
            ("ROTATE_REFRESH_TOKENS", "true", Some("true")),
            ("ROTATE_REFRESH_TOKENS", r#""on""#, Some("on")),
            ("ACCESS_TOKEN_LIFETIME", "0.5", Some("0.5")),
            ("ACCESS_TOKEN_LIFETIME", r#""PT5M""#, Some("PT5M")),
            ("LEEWAY", "null", None),
            ("AUDIENCE", r#"["a", "b"]"#, Some(r#"["a","b"]"#)),
            ("AUDIENCE", r#""a""#, Some("a")),
            ("JSON_ENCODER", "null", None),
        ] {
            let (problems, given) =
                laid_over(&format!(r#"{{"{name}": {value}}}"#), &Setting::optional(name, ""));
            assert_eq!((problems, given.as_deref()), (Ok(()), text), "{name} {value}");
        }
    }

    #[test]
    fn every_setting_of_simple_jwt_is_known_and_warrens_own_are_not() {
        let own = ["SIGNING_KEY_PREVIOUS", "SIGNING_KEYS_DIR", "JWT_SECRET_KEY", "USER_ID_CLAIM_TYPE"];
        let settings = || keys::SETTINGS.iter().chain(tokens::SETTINGS).map(|setting| setting.name);
        for name in settings().filter(|name| *name != "SECRET_KEY") {
            assert_eq!(kind_of(name).is_some(), !own.contains(&name), "{name}");
        }
        for (name, _) in KINDS {
            assert!(settings().any(|setting| setting == *name), "{name}");
        }
        for name in own {
            let problems = laid_over(&format!(r#"{{"{name}": "x"}}"#), &SIMPLE_JWT_JSON).0.expect_err(name);
            assert!(problems.contains(&format!("{name} is not a setting of SimpleJWT")), "{problems}");
        }
    }
}
