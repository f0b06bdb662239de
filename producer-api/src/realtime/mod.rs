//! `/ws/tasks/`: a user's tasks as they change, over a WebSocket. `docs/LIVE.md` is the protocol.
//!
//! A change reaches a socket by way of RabbitMQ, whichever replica or client made it, this one included: each replica
//! listens to all facts about tasks on a queue of its own (`listen`), and the hub puts each into the mailboxes of its
//! owner's sockets (`hub`, `mailbox`). What a socket may show of it is a pure rule (`view`): never an older state after a
//! newer one, though messages come late, doubled, and in any order. Where the rule can't know, the database is asked
//! (`store`): for one task, or for the list. A mailbox never grows: what is too much for it becomes "the list again".
//!
//! A socket lives no longer than the session that opened it and the access token in hand (`pass`).
//!
//! The page that shows it all to people has a room of its own: [`page`].

mod change;
mod documented;
mod ending;
mod handshake;
mod http;
mod hub;
mod listen;
mod mailbox;
mod message;
pub mod page;
mod pass;
mod socket;
mod store;
mod view;

pub use documented::operations;
pub use http::{TASKS_LIVE, live};
pub use hub::{Live, LiveSettings};
