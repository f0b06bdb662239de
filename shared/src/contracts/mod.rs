//! What travels over the broker: the envelope, the payloads, and the one table of event types.
//!
//! Pure: nothing here opens a connection or reads a clock. A payload never holds a password, a token or any other
//! secret; of a token only its id (`jti`).

pub mod auth;
pub mod catalogue;
pub mod envelope;
pub mod jobs;
pub mod mail;
pub mod operators;
pub mod origin;
mod row_event;
pub mod schedules;
pub mod tasks;
pub mod trail;

pub use catalogue::{Event, EventType, Exchange, Outcome};
pub use envelope::{Envelope, MalformedEnvelope, ReceivedEnvelope};
pub use origin::Origin;
pub use row_event::RowEvent;
