//! The story of a session: logging in, refreshing, being signed in, logging out.
//!
//! Whoever begins or ends a session locks the user's row first (`FOR NO KEY UPDATE`), so two logins of one user, or a
//! login and a logout, happen one after the other. How many a user may have is `policy`; what a refresh token is worth
//! that was used before is `rotation`; whether a token's session and user are still good is [`Standings`], which asks
//! the database once and is told of every change.

mod begin;
mod denied;
mod end;
mod forged_tokens;
pub mod http;
mod inspect;
mod list;
mod log_in;
mod log_out;
mod mint;
mod policy;
mod presented;
mod refresh;
mod renewing;
mod revoke;
mod rotation;
mod signed_in;
mod slide;
pub mod standing;
mod store;
mod verify;

pub use begin::{Tokens, Wanted};
pub use denied::{DeniedObject, DeniedObjects, note_denied, staff_only, tell_denied};
pub use end::{Ending, end_all_sessions};
pub use forged_tokens::{ForgedToken, ForgedTokens};
pub use inspect::{Inspection, inspect};
pub use list::{LISTED_MAX, Session, list_sessions};
pub use log_in::{Credentials, LogInError, LoggedIn, log_in};
pub use log_out::{LogOutError, Shown, blacklist, log_out};
pub use mint::{MintTokensError, mint_tokens};
pub use refresh::{Refreshed, refresh};
pub use renewing::RefreshError;
pub use revoke::{RevokeError, revoke_session};
pub use signed_in::{Admitted, Bearer, SignedIn, bearer, require_sign_in, sign_in};
pub use slide::slide;
pub use standing::Standings;
pub use verify::{VerifyError, verify};
