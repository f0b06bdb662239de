//! Where a request came from, as every event of a request tells it.

use std::fmt::Write;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::RequestId;

/// The longest user agent that is kept, in characters.
const USER_AGENT_CHARS_MAX: usize = 256;

/// The request behind an event; all `None` for what a program does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Origin {
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddr>,
    /// The `User-Agent` header, cut to 256 characters, control characters escaped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The request's id, as answered in `X-Request-Id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

impl Origin {
    /// The origin of a request. The user agent is anybody's text: it is cut and made harmless here.
    pub fn new(ip: Option<IpAddr>, user_agent: Option<&str>, request_id: Option<RequestId>) -> Self {
        Self { ip, user_agent: user_agent.map(harmless), request_id }
    }
}

fn harmless(text: &str) -> String {
    let mut kept = String::new();
    for character in text.chars().take(USER_AGENT_CHARS_MAX) {
        if character.is_control() {
            // Writing to a String can't fail.
            let _ = write!(kept, "\\u{{{:x}}}", u32::from(character));
        } else {
            kept.push(character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_cut_and_its_control_characters_are_escaped() {
        let origin = Origin::new(None, Some(&format!("a\nb\0{}", "x".repeat(500))), None);
        let kept = origin.user_agent.unwrap();
        assert!(kept.starts_with("a\\u{a}b\\u{0}xxx"));
        assert!(kept.chars().count() <= USER_AGENT_CHARS_MAX + 16);
        assert!(!kept.contains(char::is_control));
    }
}
