//! The audit trail as staff reads it: events of a stretch of time, newest first.
//!
//! The trail is written by the audit consumer alone; this room reads it, and tells of each read in the same transaction:
//! a page that can't be told of is not shown.

mod asked;
mod documented;
pub mod http;
mod read;
mod store;

pub use asked::Asked;
pub use read::{Page, TrailEvent, read};
