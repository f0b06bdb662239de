//! What the document says of `/ws/tasks/`. What is said over the socket is in `docs/LIVE.md`.

use serde_json::json;

use super::handshake::{LIMIT_DEFAULT, LIMIT_MAX, limit, wrong_protocols};
use super::http::{RETRY_AFTER, TASKS_LIVE, WANTS_A_SOCKET};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::tokens::{TokenFault, TokenKind};

/// The operation of the socket.
pub fn operations() -> Vec<Operation> {
    let of_list = json!({ "type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT });
    let wrong_limit = limit(Some("limit=0")).err().unwrap_or_else(Problem::internal);
    let token_in_url = limit(Some("token=x")).err().unwrap_or_else(Problem::internal);
    let expired = Problem::token_refused([(TokenKind::Access, TokenFault::Expired.to_string())]);
    vec![
        Operation::new(("Tasks", &TASKS_LIVE), "GET", "watchTasks", "Watch one's tasks")
            .describe(
                "A WebSocket: the caller's tasks, and then every change of them. The token comes in the header, as a \
                 subprotocol `bearer.<token>` beside `warren.tasks.v1`, or in the first message; never in the URL. \
                 `docs/LIVE.md` is the protocol.",
            )
            .query("limit", &of_list, "How many tasks the list has.")
            .request_header("Sec-WebSocket-Protocol", &json!({ "const": "warren.tasks.v1" }), "What is spoken.")
            .may_sign_in()
            .gives_nothing(101, "The socket is open.")
            .refuses("a limit out of bounds", wrong_limit)
            .refuses("a token in the URL", token_in_url)
            .refuses("another protocol", wrong_protocols())
            .refuses("no word behind the scheme, or two", Problem::bad_authorization_header())
            .refuses("a token that has run out", expired)
            .refuses("a user that is gone", Problem::user_not_found())
            .refuses("a user that is switched off", Problem::user_inactive())
            .refuses("a page of a foreign origin", Problem::foreign_origin())
            .refuses("plain HTTP", Problem::upgrade_required(WANTS_A_SOCKET))
            .refuses("too many sockets of one user", Problem::throttled(Some(RETRY_AFTER))),
    ]
}
