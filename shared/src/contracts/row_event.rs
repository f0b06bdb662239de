//! Events that tell of a row, by the statement that has just written it: what the row is only the database knows then.

use serde::Serialize;

use super::catalogue::Event;

/// An event whose payload is what the request knows, and beside it one member with the row as the statement has left it.
pub trait RowEvent: Event {
    /// What the request knows: the payload without the row's member. It has at least one member of its own.
    type Known: Serialize;

    /// The payload's member with the row.
    const ROW_MEMBER: &'static str;

    /// What stands before the row's id in the event's subject, such as `tasks/`.
    const SUBJECT_PREFIX: &'static str;
}
