//! The trail as a file: events of a stretch of time, the oldest first, one line each.
//!
//! In the order of their ids, so that the same stretch gives the same bytes, and page by page behind the last id: memory
//! doesn't grow with the trail, no transaction lasts longer than a page, and an export that broke off goes on behind its
//! last line. Who exports what, and why, is told before the first line leaves.

mod csv;
mod jsonl;
mod output;
mod run;
mod store;

pub use output::Destination;
pub use run::{Export, ExportError, Exported};
