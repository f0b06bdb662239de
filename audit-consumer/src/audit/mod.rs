//! The trail: one row an event, and the quarantine beside it.
//!
//! A batch is one transaction. The event's id is the row's key, so writing an event twice is writing it once.

mod entry;
mod figures;
mod from_event;
mod message;
mod partitions;
mod record;
mod store;

pub use entry::AuditEntry;
pub use figures::TrailFigures;
pub use from_event::from_event;
pub use message::Message;
pub use partitions::keep_partitions_ahead;
pub use record::{Batch, Candidate, RecordError, Recorded, SetAside, record};
pub(crate) use record::{is_refusal, other};
pub(crate) use store::{insert_entries, with_other_bodies};
