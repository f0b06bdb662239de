//! Tokens that were none of ours: a stranger can send any number of them, so they are counted, address by address.

use std::convert::Infallible;
use std::net::IpAddr;

use shared::contracts::Origin;
use shared::contracts::auth::{AccessDenial, AccessDenied, Tally};

use crate::middleware::RequestContext;
use crate::tallies::{Tallied, Tallies};

/// Counts forged tokens. Clones share the counts.
pub type ForgedTokens = Tallies<ForgedToken>;

/// A token that was none of ours.
#[derive(Debug, Clone)]
pub struct ForgedToken(Origin);

impl ForgedToken {
    /// One that came with this request.
    pub fn of(context: &RequestContext) -> Self {
        Self(context.origin())
    }
}

impl Tallied for ForgedToken {
    type Key = Option<IpAddr>;
    type Event = AccessDenied;
    type Source = Infallible;
    const WHAT: &'static str = "forged tokens";

    fn key(&self) -> Option<IpAddr> {
        self.0.ip
    }

    fn widened(&self) -> Option<(Infallible, Self)> {
        None
    }

    fn event(&self, tally: Tally) -> AccessDenied {
        denied(tally, self.0.clone())
    }

    fn event_of_the_rest(tally: Tally) -> AccessDenied {
        denied(tally, Origin::default())
    }
}

/// Who is named in such a token is not proven.
fn denied(Tally { count, first_at, last_at }: Tally, origin: Origin) -> AccessDenied {
    AccessDenied {
        user_id: None,
        username: None,
        session_id: None,
        reason: AccessDenial::ForgedToken,
        object: None,
        count,
        first_at,
        last_at,
        origin,
    }
}
