//! Making a task once, however often its request is sent: `Idempotency-Key`, after the IETF's draft of that name.
//!
//! The key is claimed in the transaction that makes the task. Whoever sends it meanwhile waits for that transaction: if it
//! is committed, he gets its answer, else the key is his. A request that is refused claims nothing.

mod create_once;
mod key;
mod store;

pub use create_once::{CreateOnceError, Created, create_once};
pub use key::{BadKey, IdempotencyKey};
