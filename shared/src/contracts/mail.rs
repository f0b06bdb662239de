//! What a `send-mail` run is told: whom, and why. Never an address, a secret or a line of text: the worker reads and
//! draws those when it sends.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// The job that sends a mail.
pub const SEND_MAIL: &str = "send-mail";

/// How often a mail is tried: the waits between attempts are drawn below a ceiling that grows to 10 minutes, so they are
/// 5 minutes long on the average, and so many of them take about a day.
pub const SEND_MAIL_ATTEMPTS_MAX: i32 = 290;

/// How long an attempt may take, whatever the server does.
pub const SEND_MAIL_TIMEOUT: Duration = Duration::from_mins(1);

/// Why a user is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailPurpose {
    /// A link proves his address. If another account has proved it before, its owner is told instead.
    VerifyEmail,
    /// A link proves the address that he wants in the place of the present one.
    ChangeEmail,
    /// A link lets him choose a new password.
    ResetPassword,
    /// Notice to the present address: another one was asked for.
    EmailChangeRequested,
    /// Notice: the password is another one.
    PasswordChanged,
}

impl MailPurpose {
    /// As `mail_tokens.purpose` and `mail_attempts.purpose` write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ChangeEmail => "change_email",
            Self::ResetPassword => "reset_password",
            Self::EmailChangeRequested => "email_change_requested",
            Self::PasswordChanged => "password_changed",
        }
    }
}

/// The arguments of a `send-mail` run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct SendMail {
    /// Whom. Nobody: nothing is sent, and a request for an unknown address costs what one for a known costs.
    pub user_id: Option<UserId>,
    /// Why.
    pub purpose: MailPurpose,
}
