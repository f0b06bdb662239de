//! The queue of dead letters, as operators look at it, give its messages to their queues again, and throw them away.
//!
//! A letter is taken with `basic.get`. That it is replayed is written to the outbox before it is published, so that nothing is
//! done which can't be told; committed when it is confirmed; and only then the letter is acknowledged. Whatever else was taken
//! goes back when the connection ends. So a command that is killed at any instruction loses none: at worst a letter is in its
//! queue, or told as discarded, and still among the dead. Who replays it once more doubles a message, which its reader drops by
//! its id.
//!
//! While a command has letters in hand, others don't see them.

mod act;
mod count;
mod desk;
mod letter;
mod read;
mod sender;

pub use act::{ActError, Way, act};
pub use count::{DeadLetterFigure, count};
pub use desk::{Desk, DeskError};
pub use letter::Letter;
pub use read::{InFull, find, list};
pub use sender::Sender;
