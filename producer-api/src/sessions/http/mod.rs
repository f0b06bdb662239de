//! The endpoints that begin, renew and end sessions.

mod blacklist;
mod log_in;
mod log_out;
mod refresh;

pub use blacklist::{BLACKLIST, blacklist};
pub use log_in::{LOG_IN, OBTAIN_PAIR, log_in, obtain_pair};
pub use log_out::{LOG_OUT, log_out};
pub use refresh::{REFRESH, refresh};
