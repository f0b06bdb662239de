//! The endpoints that begin, renew, list and end sessions, and the one that verifies their tokens.

mod active;
mod blacklist;
mod documented;
mod log_in;
mod log_out;
mod refresh;
mod verify;

pub use active::{SESSION, SESSIONS, end, list};
pub use blacklist::{BLACKLIST, blacklist};
pub use documented::operations;
pub use log_in::{LOG_IN, OBTAIN_PAIR, OBTAIN_SLIDING, log_in, obtain_pair, obtain_sliding};
pub(crate) use log_in::{USERNAME_CHARACTERS_MAX, begin};
pub use log_out::{LOG_OUT, log_out};
pub(crate) use refresh::refused as refresh_refused;
pub use refresh::{REFRESH, SLIDE, refresh, slide};
pub use verify::{VERIFY, verify};
