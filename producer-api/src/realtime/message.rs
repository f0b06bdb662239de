//! What server and client say to each other, as `docs/LIVE.md` has it.

use axum::extract::ws::Utf8Bytes;
use serde::{Deserialize, Serialize};
use shared::ids::TaskId;

use crate::tasks::http::TaskBody;

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage {
    /// The token is good, until then.
    Authenticated { expires_at: String },
    /// The present list, newest first; whatever the client knew counts no more.
    Tasks { tasks: Vec<TaskBody>, more: bool },
    /// A task was made, or has another title.
    Changed { task: TaskBody },
    /// A task is gone.
    Deleted { id: TaskId, version: i64 },
    /// Changes are not heard of for now; a list will tell that they are again.
    Stale,
}

impl ServerMessage {
    /// The frame's text.
    pub(super) fn text(&self) -> Result<Utf8Bytes, serde_json::Error> {
        serde_json::to_string(self).map(Utf8Bytes::from)
    }
}

/// What a client says. It has no `Debug`, since it holds a token.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    /// First, and later with a newer token of the same session.
    Authenticate { token: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_written_as_the_protocol_has_them() {
        let text = |message: ServerMessage| message.text().unwrap().to_string();
        assert_eq!(
            text(ServerMessage::Authenticated { expires_at: "2026-11-21T12:00:00Z".to_owned() }),
            r#"{"type":"authenticated","expires_at":"2026-11-21T12:00:00Z"}"#
        );
        assert_eq!(
            text(ServerMessage::Tasks { tasks: Vec::new(), more: false }),
            r#"{"type":"tasks","tasks":[],"more":false}"#
        );
        assert_eq!(
            text(ServerMessage::Deleted { id: TaskId(7), version: 3 }),
            r#"{"type":"deleted","id":7,"version":3}"#
        );
        assert_eq!(text(ServerMessage::Stale), r#"{"type":"stale"}"#);
    }

    #[test]
    fn a_client_that_says_more_than_we_know_is_understood_and_one_that_says_something_else_is_not() {
        let understood = |text: &str| serde_json::from_str::<ClientMessage>(text).is_ok();
        assert!(understood(r#"{"type":"authenticate","token":"a"}"#));
        assert!(understood(r#"{"token":"a","more":[1],"type":"authenticate"}"#));
        for text in [
            "",
            "{}",
            "[]",
            r#"{"type":"authenticate"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"authenticate","token":1}"#,
        ] {
            assert!(!understood(text), "{text}");
        }
    }
}
