//! A message in full, as people read it and as programs do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::table::harmless;

/// The bytes of a message's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// It is text: exactly this.
    #[serde(rename = "body")]
    Text(String),
    /// It is not.
    #[serde(rename = "body_base64")]
    Base64(String),
}

impl Body {
    /// The body with these bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self::Text(text),
            Err(error) => Self::Base64(STANDARD.encode(error.as_bytes())),
        }
    }

    /// JSON laid out over lines, other text as it is but harmless, and bytes in base64.
    fn for_people(&self) -> String {
        match self {
            Self::Base64(encoded) => format!("(not UTF-8; in base64:)\n{encoded}"),
            Self::Text(text) => match serde_json::from_str::<Value>(text) {
                // C1 control characters may stand in JSON as they are.
                Ok(json) => format!("{json:#}").lines().map(harmless).collect::<Vec<_>>().join("\n"),
                Err(_) => text.lines().map(harmless).collect::<Vec<_>>().join("\n"),
            },
        }
    }
}

#[derive(Serialize)]
struct InFull<'a, T> {
    #[serde(flatten)]
    facts: &'a T,
    #[serde(flatten)]
    body: &'a Body,
}

/// Everything about one message: its facts, then its body; as JSON, one object in one line.
pub fn shown<T: Serialize>(facts: &T, body: &Body, json: bool) -> serde_json::Result<String> {
    if json {
        return Ok(serde_json::to_string(&InFull { facts, body })? + "\n");
    }
    let Value::Object(facts) = serde_json::to_value(facts)? else { return Ok(body.for_people()) };
    let width = facts.keys().map(String::len).max().unwrap_or_default();
    let lines = facts.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
        let text = match value {
            Value::String(text) => harmless(text),
            other => harmless(&other.to_string()),
        };
        format!("{name:width$}  {text}\n")
    });
    Ok(format!("{}\n{}\n", lines.collect::<String>(), body.for_people()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_laid_out_for_people_and_exact_for_programs() {
        let body = Body::of(br#"{"b":1, "a":"x"}"#.to_vec());
        let facts = json!({ "id": 7, "message_id": null, "reason": "why" });
        let people = shown(&facts, &body, false).unwrap();
        assert_eq!(people, "id          7\nreason      why\n\n{\n  \"a\": \"x\",\n  \"b\": 1\n}\n");
        let programs: Value = serde_json::from_str(&shown(&facts, &body, true).unwrap()).unwrap();
        assert_eq!(programs["body"], r#"{"b":1, "a":"x"}"#);
        assert_eq!(programs["reason"], "why");
    }

    #[test]
    fn what_is_not_utf_8_is_base64_and_no_terminal_obeys_text() {
        let bytes = Body::of(b"\xff\x00".to_vec());
        assert_eq!(serde_json::to_value(&bytes).unwrap(), json!({ "body_base64": "/wA=" }));
        assert!(shown(&json!({}), &bytes, false).unwrap().contains("/wA="));
        let text = Body::of(b"\x1b[31mred".to_vec());
        assert!(shown(&json!({}), &text, false).unwrap().contains("\\u{1b}[31mred"));
    }
}
