//! Whether whoever has an account's address is told of what was done to the account.

use shared::contracts::mail::MailPurpose;

use super::store::Profile;
use crate::limits::{Asker, LimitError, MailRequest};
use crate::state::AppState;

/// Whether a notice may go to the address of `profile`; if it may, it is counted.
///
/// To an address that its user has proved always: whatever a stranger does, its owner is told. One that nobody has proved may
/// be anybody's, and whoever gave it could fill its mailbox by changing his own account over and over.
pub(super) async fn may_notify(
    state: &AppState,
    profile: &Profile,
    purpose: MailPurpose,
) -> Result<bool, LimitError> {
    if profile.email_verified_at.is_some() {
        return Ok(true);
    }
    let request = MailRequest { asker: Asker::Nobody, recipient: &profile.email, purpose };
    state.limits.count_mail((&state.database, &state.clock), request).await
}
