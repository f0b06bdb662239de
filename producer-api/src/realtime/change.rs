//! A change of a task, as the hub hands it to its owner's sockets.

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use shared::contracts::tasks::{TaskFact, TaskState};
use shared::contracts::{EventType, MalformedEnvelope, ReceivedEnvelope};
use shared::ids::{TaskId, UserId};
use shared::task_duration::TaskDuration;

use super::message::ServerMessage;
use crate::tasks::Task;

/// The newest version of these events that is understood here.
const MAJOR: u16 = 1;

/// A task has another state, or is gone.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) task: TaskId,
    /// Counts the task's changes; that of its deletion is the highest.
    pub(super) version: i64,
    pub(super) deleted: bool,
    /// Its event's place in the outbox; 0 if it does not say so, which counts as very old.
    pub(super) sequence: i64,
    /// What a client is told; written once for all sockets.
    pub(super) text: Utf8Bytes,
}

/// Why a message is no change of a task.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableChange {
    /// Not an envelope, or not with a task in it.
    #[error("the message can't be read")]
    Envelope(#[from] MalformedEnvelope),
    /// Of a later Warren.
    #[error("version {0} of this event is not known here")]
    Version(u16),
    /// It can't be told to clients.
    #[error("it can't be written for clients")]
    Write(#[source] serde_json::Error),
}

impl Change {
    /// Reads a message's body: whose task changed, and how.
    pub(super) fn read(body: &[u8]) -> Result<(UserId, Self), UnreadableChange> {
        let envelope = ReceivedEnvelope::parse(body)?;
        let major = envelope.major()?;
        if major > MAJOR {
            return Err(UnreadableChange::Version(major));
        }
        let fact: TaskFact = envelope.data()?;
        let deleted = envelope.r#type == EventType::TASK_DELETED.name;
        let (task, version) = (fact.task.id, fact.task.version);
        let message = if deleted {
            ServerMessage::Deleted { id: task, version }
        } else {
            ServerMessage::Changed { task: task_of(fact.task).into() }
        };
        let text = message.text().map_err(UnreadableChange::Write)?;
        let sequence = envelope.sequence_number().unwrap_or(0);
        Ok((fact.user_id, Self { task, version, deleted, sequence, text }))
    }
}

fn task_of(state: TaskState) -> Task {
    let TaskState { id, title, duration_microseconds, version, created_at, updated_at } = state;
    let duration = TaskDuration::from_microseconds(duration_microseconds);
    Task { id, title, duration, version, created_at, updated_at }
}

/// Whose task a message is about, if it says so, also one that can't be read as a change.
pub(super) fn owner(body: &[u8]) -> Option<UserId> {
    #[derive(Deserialize)]
    struct Owned {
        user_id: UserId,
    }
    let envelope = ReceivedEnvelope::parse(body).ok()?;
    envelope.data::<Owned>().ok().map(|owned| owned.user_id)
}
