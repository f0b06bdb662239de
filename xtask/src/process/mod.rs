//! Starting, recognising and ending processes, those of an earlier command included.

mod account;
mod handle;
mod identity;
mod log_tail;
mod run;

pub use account::Account;
pub(crate) use account::write_private;
pub use handle::{Exit, Process, end_all};
pub use identity::ProcessIdentity;
pub use log_tail::{last_lines, last_lines_since};
pub use run::{capture, run, run_to_string, run_unhurried, run_with_input};
