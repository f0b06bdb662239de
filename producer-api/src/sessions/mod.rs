//! The story of a session: logging in, refreshing, being signed in, logging out.
//!
//! Whoever begins or ends a session locks the user's row first (`FOR NO KEY UPDATE`), so two logins of one user, or a
//! login and a logout, happen one after the other. One active session a user: a login ends the one before it.

mod end;
pub mod http;
mod log_in;
mod log_out;
mod refresh;
mod signed_in;
pub mod standing;
mod store;

pub use log_in::{Credentials, LogInError, LoggedIn, log_in};
pub use log_out::{LogOutError, Presented, blacklist, log_out};
pub use refresh::{RefreshError, refresh};
pub use signed_in::{Bearer, SignedIn, bearer, require_sign_in};
