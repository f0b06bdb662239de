//! What the document says of the page, its files, and the session of its browser.

use serde_json::json;

use super::session::WindowSession;
use super::{FILE, PAGE, REFRESH, SESSION};
use crate::openapi::{Operation, long_text, text};
use crate::problem::Problem;
use crate::sessions::http::USERNAME_CHARACTERS_MAX;
use crate::tokens::TokenFault;

const TAG: &str = "Page";
const ACCESS: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl";

/// The operations of the page.
pub fn operations() -> Vec<Operation> {
    [files(), sessions()].concat()
}

fn files() -> Vec<Operation> {
    let text = || (json!({ "type": "string" }), None);
    let etag = json!({ "type": "string", "pattern": "^\"[A-Za-z0-9_-]+\"$" });
    vec![
        Operation::new((TAG, &PAGE), "GET", "showPage", "The page").gives_page(200, "The page."),
        Operation::new((TAG, &FILE), "GET", "getPageFile", "A file of the page")
            .path("name", &json!({ "type": "string", "examples": ["style.css"] }), "Its name.")
            .request_header(
                "If-None-Match",
                &json!({ "type": "string" }),
                "The `ETag` of the file that is there.",
            )
            .gives_body(200, "The file.", "text/javascript", text())
            .gives_body(200, "", "text/css", text())
            .gives_body(200, "", "image/svg+xml", text())
            .always_with_header(200, "ETag", &etag, "Changes with the file.")
            .gives_nothing(304, "It is the one that the client has.")
            .always_with_header(304, "ETag", &etag, "Changes with the file.")
            .refuses("no such file", Problem::not_found()),
    ]
}

fn sessions() -> Vec<Operation> {
    let expired = Problem::token_not_valid(&TokenFault::Expired.to_string());
    let shown = json!({
        "access": ACCESS,
        "expires_in": 300,
        "session": "01935d3c-7d52-7d4e-9d2a-5b0c4f1e8a77",
        "user": { "id": 7, "username": "ada", "email": "ada@example.com" },
    });
    let renewed =
        json!({ "access": ACCESS, "expires_in": 300, "session": "01935d3c-7d52-7d4e-9d2a-5b0c4f1e8a77" });
    let of_token = |value: &str| {
        let pattern = format!("^(?:__Secure-)?warren_refresh={value}; Path=/real_data; ");
        json!({ "type": "string", "pattern": pattern })
    };
    let (cookie, gone) = (of_token("[A-Za-z0-9._-]+"), of_token(""));
    vec![
        of_own_page(Operation::new((TAG, &SESSION), "POST", "logInBrowser", "Log a browser in"))
            .takes([
                long_text("username", "ada", USERNAME_CHARACTERS_MAX),
                text("password", "correct horse battery"),
            ])
            .json_only()
            .gives::<WindowSession>(200, "The access token and the user.", shown)
            .always_with_header(200, "Set-Cookie", &cookie, "The refresh token, for this page alone.")
            .refuses("a name or a password that is wrong", Problem::no_active_account_credentials())
            .refuses("another session, with SESSION_POLICY=reject", Problem::session_active())
            .refuses("too many wrong passwords", Problem::throttled(Some(60))),
        of_own_page(Operation::new((TAG, &SESSION), "DELETE", "logOutBrowser", "Log a browser out"))
            .may_sign_in()
            .gives_nothing(204, "The session is over, now or before.")
            .always_with_header(204, "Set-Cookie", &gone, "Takes the refresh token away."),
        of_own_page(Operation::new(
            (TAG, &REFRESH),
            "POST",
            "refreshBrowser",
            "Refresh a browser's access token",
        ))
        .gives::<WindowSession>(200, "An access token.", renewed)
        .with_header(200, "Set-Cookie", &cookie, "With rotation, the next refresh token.")
        .gives_nothing(204, "This browser has no session here.")
        .always_with_header(401, "Set-Cookie", &gone, "Takes the refresh token away, which is no good.")
        .refuses("a session that is over", expired)
        .refuses("no active account", Problem::no_active_account_token())
        .refuses("another password", Problem::password_changed_at_refresh()),
    ]
}

fn of_own_page(operation: Operation) -> Operation {
    let site = json!({ "const": "same-origin" });
    operation
        .request_header(
            "Sec-Fetch-Site",
            &site,
            "Browsers say so of requests of the page itself; others are refused.",
        )
        .refuses("not the page itself", Problem::not_of_own_page())
        .refuses("a form", Problem::unsupported_media_type("text/plain"))
}
