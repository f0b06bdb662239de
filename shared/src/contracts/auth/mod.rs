//! What is told about accounts, sessions, tokens and doors that stayed shut, on `auth.events`.

mod access;
mod accounts;
mod logins;
mod mail_links;
mod reauthentication;
mod sessions;
mod tokens;

pub use access::{AccessDenial, AccessDenied};
pub use accounts::{
    AccountChange, AccountDeleted, AccountDisabled, AccountEnabled, AccountUnlocked, EmailChanged,
    EmailConflict, EmailVerified, PasswordChanged, PasswordRehashed, PasswordResetCompleted, UserRegistered,
    UserUpdated,
};
pub use logins::{AccountLocked, LimitScope, LoginFailed, LoginFailure, LoginSucceeded, Tally};
pub use mail_links::{MailTokenFault, MailTokenRefused, NoPasswordReset, PasswordResetRequested};
pub use reauthentication::{ReauthenticationFailed, ReauthenticationFailure, ReauthenticationPurpose};
pub use sessions::{SessionEnd, SessionEnded};
pub use tokens::{BlacklistReason, KeysRotated, TokenBlacklisted, TokenRefreshed, TokenReuseDetected};
