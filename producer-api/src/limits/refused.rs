//! Tries that were refused before their secret was looked at: counted for each name and address.

use std::net::IpAddr;

use shared::contracts::Origin;
use shared::contracts::auth::{LoginFailed, LoginFailure, Tally};
use shared::ids::UserId;

use super::keys::Key;
use super::reserve::Tried;
use super::settle::tried_name;
use crate::middleware::RequestContext;
use crate::tallies::{Tallied, Tallies};

/// Counts refused tries. Clones share the counts.
pub type RefusedTries = Tallies<RefusedTry>;

/// A try that was refused.
#[derive(Debug, Clone)]
pub struct RefusedTry {
    name: [u8; 32],
    username: String,
    user_id: Option<UserId>,
    origin: Origin,
}

impl RefusedTry {
    /// One that came with this request.
    pub fn new(context: &RequestContext, tried: Tried<'_>) -> Self {
        Self {
            name: Key::of_name(tried.username, false).digest,
            username: tried_name(tried.username),
            user_id: tried.user_id,
            origin: context.origin(),
        }
    }
}

impl Tallied for RefusedTry {
    type Key = ([u8; 32], Option<IpAddr>);
    type Event = LoginFailed;
    const WHAT: &'static str = "refused logins";

    fn key(&self) -> Self::Key {
        (self.name, self.origin.ip)
    }

    fn event(&self, tally: Tally) -> LoginFailed {
        let Self { username, user_id, origin, .. } = self.clone();
        LoginFailed { user_id, username, reason: LoginFailure::Limited, tally: Some(tally), origin }
    }

    fn event_of_the_rest(tally: Tally) -> LoginFailed {
        LoginFailed {
            user_id: None,
            username: String::new(),
            reason: LoginFailure::Limited,
            tally: Some(tally),
            origin: Origin::default(),
        }
    }
}
