//! The part of the load that makes and ends accounts, sessions and tokens.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::load::{Act, Shared};
use crate::api::{Client, PASSWORD};

/// How long nobody new comes once the last has come.
const NEWCOMERS: Duration = Duration::from_secs(3);

/// People who make an account, log in, take new tokens, say who they are and, every other one, delete the account. Whoever gets no
/// answer is not seen again: what he asked for may still come.
pub(super) async fn come_and_go(shared: Arc<Shared>, replica: usize) {
    for number in 0_u32.. {
        if shared.is_over() {
            return;
        }
        newcomer(&shared, replica, number).await;
        tokio::time::sleep(NEWCOMERS).await;
    }
}

/// `None` when an answer was lost.
async fn newcomer(shared: &Shared, replica: usize, number: u32) -> Option<()> {
    let username = format!("newcomer-{replica}-{number}");
    // A network of their own for each replica.
    let address = Ipv4Addr::from((10 << 24) + (u32::try_from(replica).ok()? << 20) + number);
    let from = |client: &Client, method: Method, path: &str| {
        client.request(method, path).header("X-Forwarded-For", address.to_string())
    };
    let account =
        json!({ "username": username, "email": format!("{username}@example.com"), "password": PASSWORD });
    let request = |client: &Client, _: &str| from(client, Method::POST, "/api/register/").json(&account);
    shared.attempt(replica, Act::Register, request).await?;
    let credentials = json!({ "username": username, "password": PASSWORD });
    let request = |client: &Client, _: &str| from(client, Method::POST, "/api/login/").json(&credentials);
    let login = shared.attempt(replica, Act::LogIn, request).await?;
    // The answer's status is known before all of its body.
    let presented = json!({ "refresh": login["refresh"].as_str()? });
    let request =
        |client: &Client, _: &str| from(client, Method::POST, "/api/token/refresh/").json(&presented);
    let tokens = shared.attempt(replica, Act::Refresh, request).await?;
    let access = tokens["access"].as_str()?;
    let request = |client: &Client, name: &str| {
        from(client, Method::PATCH, "/api/users/me/").bearer_auth(access).json(&json!({ "first_name": name }))
    };
    shared.attempt(replica, Act::Describe, request).await?;
    if number.is_multiple_of(2) {
        let request = |client: &Client, _: &str| {
            from(client, Method::DELETE, "/api/users/me/")
                .bearer_auth(access)
                .json(&json!({ "password": PASSWORD }))
        };
        shared.attempt(replica, Act::Leave, request).await?;
    }
    Some(())
}
