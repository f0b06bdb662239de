//! What comes from the broker: each message judged, each batch handed on to be written.

mod classify;
mod handler;
mod metrics;
mod quarantine_reason;

pub use classify::{BODY_BYTES_MAX, classify};
pub use handler::AuditHandler;
pub use metrics::ConsumerMetrics;
pub use quarantine_reason::QuarantineReason;

/// The queue this program reads.
pub const QUEUE: &str = shared::broker::topology::AUDIT_QUEUE;
