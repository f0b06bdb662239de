//! Two answers side by side: what must be the same, and what can't be (new ids, times, the words of a parser).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;
use serde_json::value::RawValue;

/// Texts of which only the beginning is stable.
const STABLE_BEGINNINGS: [&str; 2] = ["JSON parse error - ", "Multipart form parse error - "];

/// The part of an answer that clients read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) challenge: String,
    pub(super) content_type: String,
    pub(super) allow: String,
}

/// Makes a body comparable: new tokens are opened, and what is new in every one of them gets a name. What stood in the
/// `presented` tokens must be kept as it was, and so stays as it is. `early`: by how many seconds a lifetime of tens of
/// seconds may seem too short.
pub(super) fn comparable(body: &str, presented: &[String], now: i64, early: i64) -> String {
    let Ok(document) = serde_json::from_str::<Value>(body) else { return body.to_owned() };
    if let Some(detail) = document["detail"].as_str()
        && let Some(beginning) = STABLE_BEGINNINGS.iter().find(|beginning| detail.starts_with(**beginning))
    {
        return format!("{{\"detail\":\"{beginning}...\"}}");
    }
    let mut text = body.to_owned();
    // Free words of each server, by the contract.
    if let (Some(description), true) = (document["description"].as_str(), document["parses"].is_array()) {
        let quoted = Value::from(description).to_string();
        text = text.replace(&quoted, "\"...\"");
    }
    let kept: Vec<String> =
        presented.iter().filter_map(|token| claims(token)).flat_map(BTreeMap::into_values).collect();
    for token in ["refresh", "access", "token"].iter().filter_map(|name| document[name].as_str()) {
        if let Some(opened) = opened(token, &kept, now, early) {
            text = text.replace(&format!("\"{token}\""), &opened);
        }
    }
    text
}

fn opened(token: &str, kept: &[String], now: i64, early: i64) -> Option<String> {
    let header: BTreeMap<String, Value> = serde_json::from_slice(&part(token, 0)?).ok()?;
    let mut claims = claims(token)?;
    // What we add to a session's tokens.
    claims.remove("sid");
    let issued: Option<i64> = claims.get("iat").and_then(|text| text.parse().ok());
    let fresh = issued.filter(|issued| (now - 5..=now + 300).contains(issued));
    for (name, value) in &mut claims {
        if kept.contains(value) {
            continue;
        }
        let quoted: String = serde_json::from_str(value).unwrap_or_default();
        let number: Option<i64> = value.parse().ok();
        if let (Some(number), Some(issued), true) = (number, fresh, name.ends_with("exp")) {
            let lifetime = number - issued;
            let missing = (-lifetime).rem_euclid(10);
            *value = format!("issued + {}", if missing <= early { lifetime + missing } else { lifetime });
        } else if name == "iat" && fresh.is_some() {
            "just now".clone_into(value);
        } else if is_token_id(&quoted) {
            "a new id".clone_into(value);
        } else if quoted.len() == 32 && quoted.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')) {
            "a digest of the password's hash".clone_into(value);
        }
    }
    Some(format!("{header:?} {claims:?}"))
}

/// 32 lower-case hex digits of a random UUID.
fn is_token_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 4 && id.simple().to_string() == text)
}

/// The claims as JSON texts.
fn claims(token: &str) -> Option<BTreeMap<String, String>> {
    let claims: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&part(token, 1)?).ok()?;
    let text = |value: Box<RawValue>| match serde_json::from_str::<String>(value.get()) {
        // However its letters were written; numbers, on the other hand, must be kept to the digit.
        Ok(text) => Value::from(text).to_string(),
        Err(_) if value.get().starts_with(['{', '[']) => {
            serde_json::from_str::<Value>(value.get()).unwrap_or_default().to_string()
        }
        Err(_) => value.get().to_owned(),
    };
    Some(claims.into_iter().map(|(name, value)| (name, text(value))).collect())
}

fn part(token: &str, index: usize) -> Option<Vec<u8>> {
    let parts: Vec<&str> = token.split('.').collect();
    (parts.len() == 3).then(|| BASE64URL.decode(parts[index]).ok()).flatten()
}
