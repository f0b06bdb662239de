//! Logs, and the trace context that ties a request to its events.
//!
//! A log line is a sentence for the reader and fields for the machine; `docs/OPERATIONS.md` lists the fields. Never
//! logged: passwords, tokens, connection URLs, message bodies.

mod error_chain;
mod logging;
mod trace_context;

pub use error_chain::error_chain;
pub use logging::{LogError, init};
pub use trace_context::TraceContext;
