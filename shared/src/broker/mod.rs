//! RabbitMQ: its topology as data, connections, confirmed publishing, and the receive loop.
//!
//! Rules of this room:
//! - Publishing and consuming use different connections: a blocked publisher could not acknowledge.
//! - One loop owns a publishing channel; a channel is never shared.
//! - Whatever the broker is to answer has a deadline; waiting for deliveries has the heartbeat.
//! - lapin's automatic recovery stays off: whatever breaks, [`crate::lifecycle::supervise`] starts again from the
//!   connection.

mod answers;
mod connection;
mod declare;
pub mod definitions;
mod exclusive;
mod publisher;
mod receive;
pub mod rights;
mod subscription;
pub mod topology;

pub use answers::Answers;
pub use connection::{BlockedWatch, connect, pool, relay_pools, within};
pub use declare::{DeclareError, Needs, declare, establish};
pub use exclusive::{ExclusiveQueue, ExclusiveSubscription};
pub use lapin::message::Delivery;
pub use publisher::{ConfirmedChannel, Message, PublishError, Verdict, Verdicts};
pub use receive::{BatchHandler, BatchSettings, receive};
pub use subscription::{Subscription, SubscriptionError};
