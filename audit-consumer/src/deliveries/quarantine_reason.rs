//! Why a message is set aside instead of recorded.

use shared::contracts::MalformedEnvelope;
use shared::ids::EventId;

/// What is wrong with a message.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineReason {
    /// Larger than any event of ours.
    #[error("the body has {bytes} bytes, more than {} are not recorded", super::BODY_BYTES_MAX)]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// Not text.
    #[error("the body is not UTF-8")]
    NotUtf8,
    /// PostgreSQL's text can't hold it.
    #[error("the body holds a NUL byte")]
    HoldsNul,
    /// Not an envelope we can read.
    #[error(transparent)]
    Malformed(#[from] MalformedEnvelope),
    /// Its payload follows rules that this program doesn't know yet.
    #[error("major version {major} of {event_type:?} is unknown, this program knows {known}")]
    UnknownMajor {
        /// Of which type.
        event_type: String,
        /// The version it has.
        major: u16,
        /// The highest known.
        known: u16,
    },
    /// The id has no instant in it, so no partition and no retention.
    #[error("the id {0} is not a UUIDv7")]
    NotVersion7(EventId),
    /// Somebody's clock is wrong, and the row would outlive its time.
    #[error("the id {0} is from more than 24 hours ahead of now")]
    TooNew(EventId),
    /// Its row may have been deleted already: recorded again, it would be a second one.
    #[error("the id {0} is older than the trail is kept")]
    TooOld(EventId),
    /// The broker and the envelope name different messages.
    #[error("the message id {message_id:?} is not the envelope's id {id}")]
    OtherMessageId {
        /// The AMQP property.
        message_id: String,
        /// The envelope's.
        id: EventId,
    },
}

impl QuarantineReason {
    /// A word for each kind.
    pub const KINDS: [&str; 9] = [
        "too_large",
        "not_utf8",
        "holds_nul",
        "malformed",
        "unknown_major",
        "not_version7",
        "too_new",
        "too_old",
        "other_message_id",
    ];

    /// The word for its kind.
    pub fn kind(&self) -> &'static str {
        let place = match self {
            Self::TooLarge { .. } => 0,
            Self::NotUtf8 => 1,
            Self::HoldsNul => 2,
            Self::Malformed(_) => 3,
            Self::UnknownMajor { .. } => 4,
            Self::NotVersion7(_) => 5,
            Self::TooNew(_) => 6,
            Self::TooOld(_) => 7,
            Self::OtherMessageId { .. } => 8,
        };
        Self::KINDS[place]
    }
}
