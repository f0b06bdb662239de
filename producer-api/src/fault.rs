//! What may go wrong in any use case without being anybody's wrong request.

use shared::database::is_unavailable;
use shared::outbox::AppendError;
use shared::runs::EnqueueError;
use shared::telemetry::error_chain;

use crate::credentials::HashingError;
use crate::problem::Problem;

/// An outage, an overload or a fault of ours. Every use case's error has it as its last variant.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The database could not be asked, or refused.
    #[error("the database can't be used")]
    Database(#[from] sqlx::Error),
    /// The event of the fact could not be written, so the fact was not committed.
    #[error("the event can't be written")]
    Outbox(#[from] AppendError),
    /// A run that the fact wants could not be written, so the fact was not committed.
    #[error("the run can't be written")]
    Run(#[from] EnqueueError),
    /// No password could be hashed.
    #[error("the password can't be hashed")]
    Hashing(#[from] HashingError),
    /// A token could not be made.
    #[error("the token can't be made")]
    Minting(#[from] crate::tokens::MintError),
}

/// How long a client should wait before it tries again, in seconds.
const RETRY_AFTER_OUTAGE: u64 = 5;
const RETRY_AFTER_OVERLOAD: u64 = 1;

impl From<Fault> for Problem {
    /// An outage is 503, never 401: a client that gets 401 throws its tokens away. The log has the whole chain.
    fn from(fault: Fault) -> Self {
        let retry_after = match &fault {
            Fault::Database(error)
            | Fault::Outbox(AppendError::Write(_, error))
            | Fault::Run(
                EnqueueError::Write(_, error) | EnqueueError::Append(AppendError::Write(_, error)),
            ) if is_unavailable(error) => Some(RETRY_AFTER_OUTAGE),
            Fault::Hashing(HashingError::Overloaded) => Some(RETRY_AFTER_OVERLOAD),
            _ => None,
        };
        let chain = error_chain(&fault);
        if let Some(seconds) = retry_after {
            tracing::warn!(error = chain, "a request can't be served now");
            return Self::unavailable(seconds);
        }
        tracing::error!(error = chain, "a request met a fault");
        Self::internal()
    }
}
