//! Tries that were refused before their secret was looked at: counted, and told every few seconds. Those to log in for each
//! name and address, those of somebody signed in for each user, purpose and address.

use std::convert::Infallible;
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use shared::contracts::Origin;
use shared::contracts::auth::{
    LoginFailed, LoginFailure, ReauthenticationFailed, ReauthenticationFailure, ReauthenticationPurpose,
    Tally,
};
use shared::ids::UserId;
use shared::outbox::Outbox;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::keys::Key;
use super::reserve::{Asked, Tried};
use super::settle::tried_name;
use crate::middleware::RequestContext;
use crate::tallies::{Tallied, Tallies, TellError};

/// Counts refused tries. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct RefusedTries {
    logins: Tallies<RefusedLogin>,
    confirmations: Tallies<RefusedConfirmation>,
}

impl RefusedTries {
    pub(super) fn note(&self, context: &RequestContext, tried: Tried<'_>, now: DateTime<Utc>) {
        let (user_id, username, origin) = (tried.user_id, tried_name(tried.username), context.origin());
        match tried.asked {
            Asked::ToLogIn => {
                let name = Key::of_name(tried.username, false).digest;
                self.logins.note(RefusedLogin { name, username, user_id, origin }, context.trace, now);
            }
            Asked::ToConfirm(purpose) => {
                let one = RefusedConfirmation { user_id, username, purpose, origin };
                self.confirmations.note(one, context.trace, now);
            }
        }
    }

    /// Tells what was counted since the last time.
    pub async fn tell(&self, database: &PgPool, outbox: &Outbox) -> Result<(), TellError> {
        self.logins.tell(database, outbox).await?;
        self.confirmations.tell(database, outbox).await
    }

    /// Tells every few seconds, and once more when the program stops.
    pub async fn tell_regularly(
        self,
        database: PgPool,
        outbox: Outbox,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        tokio::try_join!(
            self.logins.tell_regularly(database.clone(), outbox.clone(), stop.clone()),
            self.confirmations.tell_regularly(database, outbox, stop),
        )?;
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct RefusedLogin {
    name: [u8; 32],
    username: String,
    user_id: Option<UserId>,
    origin: Origin,
}

impl Tallied for RefusedLogin {
    type Key = ([u8; 32], Option<IpAddr>);
    type Event = LoginFailed;
    type Source = Infallible;
    const WHAT: &'static str = "refused logins";

    fn key(&self) -> Self::Key {
        (self.name, self.origin.ip)
    }

    fn widened(&self) -> Option<(Infallible, Self)> {
        None
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

#[derive(Debug, Clone)]
struct RefusedConfirmation {
    user_id: Option<UserId>,
    username: String,
    purpose: ReauthenticationPurpose,
    origin: Origin,
}

impl Tallied for RefusedConfirmation {
    type Key = (Option<UserId>, ReauthenticationPurpose, Option<IpAddr>);
    type Event = ReauthenticationFailed;
    type Source = Infallible;
    const WHAT: &'static str = "refused confirmations";

    fn key(&self) -> Self::Key {
        (self.user_id, self.purpose, self.origin.ip)
    }

    fn widened(&self) -> Option<(Infallible, Self)> {
        None
    }

    fn event(&self, tally: Tally) -> ReauthenticationFailed {
        let Self { user_id, username, purpose, origin } = self.clone();
        ReauthenticationFailed {
            user_id,
            username: Some(username),
            purpose: Some(purpose),
            origin,
            ..Self::event_of_the_rest(tally)
        }
    }

    fn event_of_the_rest(tally: Tally) -> ReauthenticationFailed {
        ReauthenticationFailed {
            user_id: None,
            username: None,
            session_id: None,
            purpose: None,
            reason: ReauthenticationFailure::Limited,
            tally: Some(tally),
            origin: Origin::default(),
        }
    }
}
