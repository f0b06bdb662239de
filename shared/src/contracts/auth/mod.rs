//! What is told about accounts, sessions, tokens and doors that stayed shut, on `auth.events`.

mod access;
mod accounts;
mod logins;
mod sessions;
mod tokens;

pub use access::{AccessDenial, AccessDenied};
pub use accounts::{
    AccountChange, AccountDisabled, AccountEnabled, PasswordChanged, PasswordRehashed, UserRegistered,
};
pub use logins::{LoginFailed, LoginFailure, LoginSucceeded};
pub use sessions::{SessionEnd, SessionEnded};
pub use tokens::{BlacklistReason, KeysRotated, TokenBlacklisted, TokenRefreshed, TokenReuseDetected};
