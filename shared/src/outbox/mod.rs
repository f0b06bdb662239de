//! The only way a message leaves: written in the transaction of the fact it tells, sent by the relay, kept until the broker
//! has confirmed it and, if it is a fact, until the trail has it.
//!
//! A use case calls [`Outbox::append`] on its own transaction, commits, and calls [`Outbox::wake`]. Whether RabbitMQ is
//! up doesn't matter to it. The [`Relay`] of any program sends what any program wrote. A message may be sent twice (a
//! process killed between the confirm and the commit), never not at all: readers go by its id.
//!
//! Where a fact is one row and one statement, the statement can write the event as well, in one round trip: see
//! [`EventDraft`].

mod append;
mod claim;
mod confirmed;
mod draft;
mod figures;
mod lane;
mod metrics;
mod parked;
pub mod parked_events;
mod relay;
mod settle;

pub use append::{AppendError, Outbox};
pub use draft::EventDraft;
pub use figures::OutboxFigures;
pub use metrics::RelayMetrics;
pub use relay::{Relay, RelaySettings};
