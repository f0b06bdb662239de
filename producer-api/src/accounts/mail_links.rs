//! Mailed links: what one is worth, using it, and withdrawing those that are worth nothing any more.
//!
//! The worker draws a link's secret when it sends the mail; here only its SHA-256 is known. Whoever uses one holds the
//! lock of the user's row, so of two uses at once one comes second and finds it used.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use shared::contracts::auth::{MailTokenFault, MailTokenRefused};
use shared::contracts::mail::MailPurpose;
use shared::ids::UserId;
use sqlx::PgConnection;

use super::mail_store;
use super::store::{self, Profile};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::state::AppState;

/// How long the secret of a link is, in bytes.
const SECRET_BYTES: usize = 32;

/// A link as it was presented.
pub(super) struct Presented {
    /// What it is found by.
    secret: [u8; SECRET_BYTES],
}

impl Presented {
    /// Reads the text that stands in a link; `None` if no link of ours has such a one.
    pub(super) fn read(token: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == SECRET_BYTES)?;
        let secret = digest(&SHA256, &bytes).as_ref().try_into().ok()?;
        Some(Self { secret })
    }

    /// What is known of it.
    pub(super) async fn look_up(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Option<MailToken>, sqlx::Error> {
        mail_store::find(connection, &self.secret).await
    }

    /// What is known of it under the lock of its user's row, which is held until the transaction ends.
    pub(super) async fn look_up_locked(
        &self,
        connection: &mut PgConnection,
    ) -> Result<Result<(MailToken, Profile), Refusal>, sqlx::Error> {
        let Some(found) = self.look_up(connection).await? else { return Ok(Err(Refusal::unknown())) };
        let user = store::lock(connection, found.user_id).await?;
        // Once more: another use may have come first, and with its user the link itself goes.
        Ok(match (self.look_up(connection).await?, user) {
            (Some(found), Some(user)) => Ok((found, user)),
            _ => Err(found.refused(MailTokenFault::Withdrawn)),
        })
    }
}

/// A link that is no good, and why.
#[derive(Debug)]
pub(super) struct Refusal {
    token: Option<MailToken>,
    fault: MailTokenFault,
}

impl Refusal {
    /// Nobody was ever sent such a link.
    pub(super) fn unknown() -> Self {
        Self { token: None, fault: MailTokenFault::Unknown }
    }
}

/// Why a link did nothing.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It is no good; why is the audit trail's business alone.
    #[error("the link is not good any more")]
    Refused,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for LinkError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// A link as it was recorded.
#[derive(Debug, Clone)]
pub(super) struct MailToken {
    pub(super) id: i64,
    pub(super) user_id: UserId,
    pub(super) purpose: String,
    pub(super) email: String,
    pub(super) expires_at: DateTime<Utc>,
    pub(super) end_reason: Option<String>,
}

impl MailToken {
    /// Whether it is good for one of `purposes` at `now`.
    pub(super) fn judge(
        &self,
        purposes: &[MailPurpose],
        now: DateTime<Utc>,
    ) -> Result<MailPurpose, MailTokenFault> {
        let purpose = purposes.iter().copied().find(|purpose| purpose.as_str() == self.purpose);
        // A link for something else is none at all here.
        let purpose = purpose.ok_or(MailTokenFault::Unknown)?;
        match self.end_reason.as_deref() {
            Some("used") => Err(MailTokenFault::Used),
            Some("superseded") => Err(MailTokenFault::Superseded),
            Some(_) => Err(MailTokenFault::Withdrawn),
            None if self.expires_at <= now => Err(MailTokenFault::Expired),
            None => Ok(purpose),
        }
    }

    /// The refusal of this one.
    pub(super) fn refused(self, fault: MailTokenFault) -> Refusal {
        Refusal { token: Some(self), fault }
    }

    fn purpose(&self) -> Option<MailPurpose> {
        [MailPurpose::VerifyEmail, MailPurpose::ChangeEmail, MailPurpose::ResetPassword]
            .into_iter()
            .find(|purpose| purpose.as_str() == self.purpose)
    }
}

/// Tells of a link that is no good, in a transaction of its own: there is nothing else to commit. A stranger can show it any
/// number of times, so each link and reason is told once; one that was never given is forged, and those are counted.
pub(super) async fn tell_refused(
    state: &AppState,
    context: &RequestContext,
    refusal: &Refusal,
) -> Result<(), Fault> {
    let Some(token) = &refusal.token else {
        state.note_forged_token(context, state.clock.now());
        return Ok(());
    };
    let mut transaction = state.database.begin().await?;
    if !mail_store::mark_told(&mut transaction, token.id, refusal.fault).await? {
        return Ok(());
    }
    let user = store::profile(&mut transaction, token.user_id).await?;
    let event = MailTokenRefused {
        user_id: Some(token.user_id),
        username: user.map(|user| user.username),
        purpose: token.purpose(),
        reason: refusal.fault,
        origin: context.origin(),
    };
    state.outbox.append(&mut transaction, &context.trace, event).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(purpose: &str, end_reason: Option<&str>) -> MailToken {
        MailToken {
            id: 1,
            user_id: UserId(7),
            purpose: purpose.to_owned(),
            email: "a@b.co".to_owned(),
            expires_at: DateTime::from_timestamp(1_000, 0).unwrap(),
            end_reason: end_reason.map(str::to_owned),
        }
    }

    #[test]
    fn a_link_is_good_once_in_its_time_and_for_its_purpose_alone() {
        let verify = [MailPurpose::VerifyEmail, MailPurpose::ChangeEmail];
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        for (purpose, end_reason, now, expected) in [
            ("verify_email", None, 999, Ok(MailPurpose::VerifyEmail)),
            ("change_email", None, 0, Ok(MailPurpose::ChangeEmail)),
            ("reset_password", None, 0, Err(MailTokenFault::Unknown)),
            ("verify_email", None, 1_000, Err(MailTokenFault::Expired)),
            ("verify_email", Some("used"), 1_001, Err(MailTokenFault::Used)),
            ("verify_email", Some("superseded"), 0, Err(MailTokenFault::Superseded)),
            ("verify_email", Some("withdrawn"), 0, Err(MailTokenFault::Withdrawn)),
        ] {
            assert_eq!(
                token(purpose, end_reason).judge(&verify, at(now)),
                expected,
                "{purpose} {end_reason:?}"
            );
        }
    }

    #[test]
    fn only_what_a_link_of_ours_could_hold_is_looked_up() {
        assert!(Presented::read(&"A".repeat(43)).is_some());
        for text in
            ["", "A", &"A".repeat(42), &"A".repeat(44), &"é".repeat(43), &format!("{}=", "A".repeat(43))]
        {
            assert!(Presented::read(text).is_none(), "{text}");
        }
    }
}
