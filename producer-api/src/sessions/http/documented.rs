//! What the document says of tokens and sessions.

use serde_json::{Value, json};

use super::active::{SESSION, SESSIONS, SessionBody, wrong_user_id};
use super::blacklist::BLACKLIST;
use super::log_in::{
    LOG_IN, OBTAIN_PAIR, OBTAIN_SLIDING, Pair, Sliding, USERNAME_CHARACTERS_MAX, UserWithPair,
};
use super::log_out::LOG_OUT;
use super::refresh::{REFRESH, Refreshed, SLIDE, Slid};
use super::verify::VERIFY;
use crate::openapi::{Operation, long_text, text};
use crate::problem::Problem;
use crate::sessions::LISTED_MAX;
use crate::tokens::TokenFault;

const TOKENS: &str = "Tokens";
const TAG: &str = "Sessions";
const ACCESS: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIn0.c2lnbmF0dXJl";
const REFRESH_TOKEN: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoicmVmcmVzaCJ9.c2lnbmF0dXJl";

/// The operations of tokens and sessions.
pub fn operations() -> Vec<Operation> {
    [obtaining(), renewing(), ending(), active()].concat()
}

fn obtaining() -> Vec<Operation> {
    let login = json!({
        "id": 7, "username": "ada", "email": "ada@example.com", "refresh": REFRESH_TOKEN, "access": ACCESS,
    });
    vec![
        logs_in(Operation::new((TOKENS, &OBTAIN_PAIR), "POST", "obtainTokenPair", "Obtain a pair of tokens"))
            .gives::<Pair>(200, "The tokens.", pair())
            .leads_to_with_body(200, "refreshToken", &json!({ "refresh": "$response.body#/refresh" }))
            .leads_to_with_body(200, "blacklistToken", &json!({ "refresh": "$response.body#/refresh" }))
            .leads_to_with_body(200, "verifyToken", &json!({ "token": "$response.body#/access" })),
        logs_in(Operation::new(
            (TOKENS, &OBTAIN_SLIDING),
            "POST",
            "obtainSlidingToken",
            "Obtain a sliding token",
        ))
        .gives::<Sliding>(200, "The token.", json!({ "token": ACCESS }))
        .leads_to_with_body(
            200,
            "refreshSlidingToken",
            &json!({ "token": "$response.body#/token" }),
        ),
        logs_in(Operation::new((TAG, &LOG_IN), "POST", "logIn", "Log in"))
            .gives::<UserWithPair>(200, "The user and the tokens.", login)
            .leads_to_with_body(200, "refreshToken", &json!({ "refresh": "$response.body#/refresh" }))
            .leads_to_with_body(200, "logOut", &json!({ "refresh": "$response.body#/refresh" })),
    ]
}

fn logs_in(operation: Operation) -> Operation {
    operation
        .takes([
            long_text("username", "ada", USERNAME_CHARACTERS_MAX),
            text("password", "correct horse battery"),
        ])
        .refuses("a name or a password that is wrong", Problem::no_active_account_credentials())
        .refuses("another session, with SESSION_POLICY=reject", Problem::session_active())
        .refuses("too many wrong passwords", Problem::throttled(Some(60)))
}

fn renewing() -> Vec<Operation> {
    vec![
        renews(Operation::new((TOKENS, &REFRESH), "POST", "refreshToken", "Refresh an access token"))
            .takes([text("refresh", REFRESH_TOKEN)])
            .gives::<Refreshed>(
                200,
                "An access token; with rotation a refresh token, too.",
                json!({ "access": ACCESS }),
            ),
        renews(Operation::new((TOKENS, &SLIDE), "POST", "refreshSlidingToken", "Refresh a sliding token"))
            .takes([text("token", ACCESS)])
            .gives::<Slid>(200, "The token.", json!({ "token": ACCESS })),
        refuses_tokens(Operation::new((TOKENS, &VERIFY), "POST", "verifyToken", "Verify a token"))
            .takes([text("token", ACCESS)])
            .gives_empty(200, "It is good.")
            .refuses("a token on the blacklist", Problem::non_field_error("Token is blacklisted")),
    ]
}

fn renews(operation: Operation) -> Operation {
    refuses_tokens(operation)
        .refuses("no active account", Problem::no_active_account_token())
        .refuses("another password", Problem::password_changed_at_refresh())
}

fn ending() -> Vec<Operation> {
    vec![
        refuses_tokens(Operation::new((TOKENS, &BLACKLIST), "POST", "blacklistToken", "Blacklist a refresh token"))
            .takes([text("refresh", REFRESH_TOKEN)])
            .gives_empty(200, "It is on the blacklist, and its session is over."),
        refuses_tokens(Operation::new((TAG, &LOG_OUT), "POST", "logOut", "Log out"))
            .describe("Ends the session of the refresh token in the body, or of the access token in the header; either suffices.")
            .may_sign_in()
            .takes([text("refresh", REFRESH_TOKEN).optional()])
            .gives_empty(200, "The session is over."),
    ]
}

fn refuses_tokens(operation: Operation) -> Operation {
    operation
        .refuses("no token of ours", Problem::token_not_valid(&TokenFault::Invalid.to_string()))
        .refuses("a token that has run out", Problem::token_not_valid(&TokenFault::Expired.to_string()))
        .refuses("a token that was ended", Problem::token_not_valid(&TokenFault::Blacklisted.to_string()))
}

fn active() -> Vec<Operation> {
    let user = json!({ "type": "integer", "format": "int64" });
    vec![
        Operation::new((TAG, &SESSIONS), "GET", "listSessions", "Active sessions")
            .query("user_id", &user, "Whose; others' are for staff.")
            .gives_list::<SessionBody>("The sessions, newest first.", LISTED_MAX, json!([session()]))
            .refuses("no number", wrong_user_id())
            .refuses("another's, and not staff", Problem::permission_denied())
            .leads_to(200, "endSession", &[("path.id", "$response.body#/0/id")]),
        Operation::new((TAG, &SESSION), "DELETE", "endSession", "End a session")
            .path("id", &json!({ "type": "string", "format": "uuid" }), "The session's id.")
            .gives_nothing(204, "It is over.")
            .refuses("no such active session of this user", Problem::not_found()),
    ]
}

fn pair() -> Value {
    json!({ "refresh": REFRESH_TOKEN, "access": ACCESS })
}

fn session() -> Value {
    json!({
        "id": "01935d3c-7d52-7d4e-9d2a-5b0c4f1e8a77",
        "user_id": 7,
        "login_time": "2026-11-21T20:15:30.123456Z",
        "ip": "203.0.113.7",
        "user_agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        "is_current": true,
    })
}
