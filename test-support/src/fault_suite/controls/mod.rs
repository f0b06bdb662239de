//! The suite's controls: small relays and consumers with the faults that Warren must not have, under the load that reveals
//! them. The verdict must be red for each; and green for its twin, which differs in that one fault alone.

mod ack_before_commit;
mod confirm_by_future;
mod ground;
mod last_id_seen;
mod no_unique_key;

use super::invariants::{Invariant, Violation};
use crate::{TestBroker, TestDatabase};
use ground::Ground;

/// A fault of a relay, a consumer or a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// A relay that believes what a message's own confirm says of returns.
    ConfirmByFuture,
    /// A consumer that acknowledges before it commits.
    AckBeforeCommit,
    /// A trail without a unique key.
    NoUniqueKey,
    /// A relay that goes by the last sequence it has seen.
    LastIdSeen,
}

impl Control {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::ConfirmByFuture, Self::AckBeforeCommit, Self::NoUniqueKey, Self::LastIdSeen];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfirmByFuture => "confirm-by-future",
            Self::AckBeforeCommit => "ack-before-commit",
            Self::NoUniqueKey => "no-unique-key",
            Self::LastIdSeen => "last-id-seen",
        }
    }

    /// What the verdict must say.
    pub fn breaks(self) -> Invariant {
        match self {
            Self::NoUniqueKey => Invariant::NothingIsDoubled,
            _ => Invariant::NothingIsLost,
        }
    }
}

/// Runs a control over a database and a virtual host, with its fault or without it; gives the verdict.
pub async fn run(
    control: Control,
    database: TestDatabase,
    broker: TestBroker,
    is_broken: bool,
) -> Vec<Violation> {
    let ground = Ground::prepare(database, broker).await;
    match control {
        Control::ConfirmByFuture => confirm_by_future::run(&ground, is_broken).await,
        Control::AckBeforeCommit => ack_before_commit::run(&ground, is_broken).await,
        Control::NoUniqueKey => no_unique_key::run(&ground, is_broken).await,
        Control::LastIdSeen => last_id_seen::run(&ground, is_broken).await,
    }
    ground.verdict().await
}
