//! Who a mail goes to, and which letter it is: decided from the account as it is when it is sent.

use std::time::Duration;

use chrono::{DateTime, Utc};
use shared::contracts::mail::MailPurpose;
use shared::ids::UserId;
use sqlx::PgConnection;

use super::letter::{Account, Letter};
use super::store::{self, Owner, User};

/// To whom a mail goes, and what it says.
pub(super) enum Plan {
    /// A link to the user himself, which proves that he reads `address`.
    Link { address: String },
    /// A notice to the present address.
    Notice { address: String },
    /// A notice to the owner of the address.
    Conflict { owner: Owner },
}

/// Who is written to, or why nobody is.
pub(super) async fn plan(
    connection: &mut PgConnection,
    (user_id, user): (UserId, &User),
    purpose: MailPurpose,
    asked_at: DateTime<Utc>,
) -> Result<Result<Plan, &'static str>, sqlx::Error> {
    // A notice is for whoever had the account when it was due: an address proved later can't outrun it.
    let later = |at: Option<DateTime<Utc>>| at.is_some_and(|at| at >= asked_at);
    let former = user.former_email.clone().filter(|_| later(user.email_verified_at));
    let address = match purpose {
        MailPurpose::VerifyEmail | MailPurpose::ChangeEmail | MailPurpose::ResetPassword
            if !user.is_active =>
        {
            return Ok(Err("the account is disabled"));
        }
        MailPurpose::VerifyEmail if user.email_verified_at.is_some() => {
            return Ok(Err("the address is verified"));
        }
        MailPurpose::ResetPassword if later(user.password_changed_at) => {
            return Ok(Err("another password was chosen meanwhile"));
        }
        MailPurpose::ChangeEmail => match &user.pending_email {
            Some(pending) => pending.clone(),
            None => return Ok(Err("no other address is asked for")),
        },
        MailPurpose::EmailChangeRequested | MailPurpose::PasswordChanged if former.is_some() => {
            former.unwrap_or_default()
        }
        MailPurpose::EmailChangeRequested if user.pending_email.is_none() => {
            return Ok(Err("no other address is asked for"));
        }
        _ => user.email.clone(),
    };
    if address.is_empty() {
        return Ok(Err("the account has no address"));
    }
    Ok(Ok(match purpose {
        MailPurpose::EmailChangeRequested | MailPurpose::PasswordChanged => Plan::Notice { address },
        MailPurpose::ResetPassword => Plan::Link { address },
        MailPurpose::VerifyEmail | MailPurpose::ChangeEmail => {
            match store::owner_of(connection, &address, user_id).await? {
                Some(owner) => Plan::Conflict { owner },
                None => Plan::Link { address },
            }
        }
    }))
}

/// How a mail to `address` calls the account: by name only where its user has proved that he reads it. Of the address before
/// the present one nobody knows any more whether it was proved.
pub(super) fn account_of(user: &User, address: &str) -> Account {
    Account::new(&user.username, user.email == address && user.email_verified_at.is_some())
}

/// The letter with a link.
pub(super) fn link(
    site: &str,
    purpose: MailPurpose,
    account: Account,
    secret: &str,
    lasts: Duration,
) -> Letter {
    let url = format!("{site}{}?token={secret}", path(purpose));
    match purpose {
        MailPurpose::ResetPassword => Letter::reset_password(site, account, url, lasts),
        MailPurpose::ChangeEmail => Letter::change_email(site, url, lasts),
        _ => Letter::verify_email(site, url, lasts),
    }
}

/// The letter that tells what was done to an account; `was_changed`: its address is another one by now.
pub(super) fn notice(site: &str, purpose: MailPurpose, account: Account, was_changed: bool) -> Letter {
    match purpose {
        MailPurpose::EmailChangeRequested if was_changed => Letter::email_changed(site, account),
        MailPurpose::EmailChangeRequested => Letter::email_change_requested(site, account),
        _ => Letter::password_changed(site, account),
    }
}

/// The letter to the owner of an address that somebody else has given.
pub(super) fn conflict(site: &str, purpose: MailPurpose, owner: Account) -> Letter {
    match purpose {
        MailPurpose::ChangeEmail => Letter::address_wanted(site, owner),
        _ => Letter::address_registered_again(site, owner),
    }
}

/// Where a link leads.
const fn path(purpose: MailPurpose) -> &'static str {
    match purpose {
        MailPurpose::ResetPassword => "/api/password/reset/confirm/",
        _ => "/api/email/verify/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_the_present_address_is_called_by_name_if_it_is_proved_and_of_the_one_before_nobody_knows()
     {
        for (address, proved, named) in [
            ("new@example.com", true, true),
            ("new@example.com", false, false),
            ("old@example.com", true, false),
        ] {
            let user = User {
                username: "ada".to_owned(),
                email: "new@example.com".to_owned(),
                pending_email: None,
                former_email: Some("old@example.com".to_owned()),
                is_active: true,
                email_verified_at: proved.then_some(DateTime::UNIX_EPOCH),
                password_changed_at: None,
            };
            assert_eq!(account_of(&user, address), Account::new("ada", named), "{address} {proved}");
        }
    }
}
