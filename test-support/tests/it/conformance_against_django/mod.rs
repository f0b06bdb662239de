//! The same requests to SimpleJWT's own views and to Warren: status, body to the byte, and the headers that clients
//! read must be the same, but where the contract says that ours differ on purpose.
//!
//! A difference that is not written down beside its case is a fault of ours, or of the contract's page. A written
//! difference that is none is a fault, too: each says what we answer, and the peer must answer something else.

mod answers;
mod bodies;
mod case;
mod forge;
mod headers;
mod settings;
mod sliding;
mod stories;
mod tokens;
mod two_servers;

use serde_json::json;

use two_servers::TwoServers;

// Goes red if a body is parsed, a field judged or a method answered in another way than by DRF.
#[tokio::test]
async fn bodies_fields_methods_and_accept_headers_are_answered_as_by_django() {
    let mut both = TwoServers::start(json!({}), &[]).await;
    both.compare(bodies::cases()).await;
    let cases = headers::cases(&mut both.forge);
    both.compare(cases).await;
}

// Goes red if a check of a token is missing, is one too many, or has another place in the order.
#[tokio::test]
async fn tokens_are_judged_as_by_simplejwt() {
    let mut both = TwoServers::start(json!({}), &[]).await;
    let cases = tokens::cases(&mut both.forge);
    both.compare(cases).await;
}

// Goes red if the sessions that SimpleJWT doesn't have show where a client does not end one.
#[tokio::test]
async fn with_sessions_the_same_requests_have_the_same_answers() {
    let mut both = TwoServers::start_with_sessions().await;
    both.compare(bodies::cases()).await;
    let cases = headers::cases(&mut both.forge);
    both.compare(cases).await;
    let cases = tokens::cases(&mut both.forge);
    both.compare(cases).await;
}

// Goes red if a blacklisted token comes back, or a user who is gone or inactive gets another answer.
#[tokio::test]
async fn what_happens_to_tokens_and_users_is_told_as_by_simplejwt() {
    let mut both = TwoServers::start(json!({}), &[]).await;
    stories::tell(&mut both).await;
}
