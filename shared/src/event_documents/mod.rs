//! What strangers read of our events: a JSON Schema for every one, and the AsyncAPI document over all of them.
//!
//! Both are made from the types that are sent and from the topology that is declared, so they can't say anything else.
//! `docs/schemas/` and `docs/asyncapi.json` are copies; a test keeps them fresh.

mod asyncapi;
mod cloud_event;
mod payloads;
mod plain;
mod schemas;

pub use asyncapi::asyncapi;
pub use schemas::{event_schema, event_schemas};
