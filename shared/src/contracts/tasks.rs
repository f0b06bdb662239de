//! What is told about tasks, on `task.events`.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::catalogue::{Event, EventType};
use super::origin::Origin;
use super::row_event::RowEvent;
use crate::ids::{SessionId, TaskId, UserId};

/// A task as it is now.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskState {
    /// Which.
    pub id: TaskId,
    /// What is to be done.
    pub title: String,
    /// How long it takes, in microseconds.
    pub duration_microseconds: i64,
    /// Counts the changes: a state with a higher version is newer.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What the three events of a task tell.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct TaskFact {
    /// Its owner.
    pub user_id: UserId,
    /// The owner's username at that moment.
    pub username: String,
    /// The session in which it was done; none for a token minted elsewhere with the shared key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The task as it is now; of a deleted one, as it was last, with the version of its deletion.
    pub task: TaskState,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

/// A [`TaskFact`] but for its task: what a request knows before its statement has written the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskDeed {
    /// The task's owner.
    pub user_id: UserId,
    /// The owner's username at that moment.
    pub username: String,
    /// The session in which it is done; none for a token minted elsewhere with the shared key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The request.
    #[serde(flatten)]
    pub origin: Origin,
}

impl TaskFact {
    fn subject(&self) -> String {
        format!("tasks/{}", self.task.id)
    }
}

/// A task was made.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskCreated(pub TaskFact);

impl Event for TaskCreated {
    const TYPE: EventType = EventType::TASK_CREATED;

    fn subject(&self) -> Option<String> {
        Some(self.0.subject())
    }
}

impl RowEvent for TaskCreated {
    type Known = TaskDeed;

    const ROW_MEMBER: &'static str = "task";
    const SUBJECT_PREFIX: &'static str = "tasks/";
}

/// A task has another title.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskUpdated(pub TaskFact);

impl Event for TaskUpdated {
    const TYPE: EventType = EventType::TASK_UPDATED;

    fn subject(&self) -> Option<String> {
        Some(self.0.subject())
    }
}

impl RowEvent for TaskUpdated {
    type Known = TaskDeed;

    const ROW_MEMBER: &'static str = "task";
    const SUBJECT_PREFIX: &'static str = "tasks/";
}

/// A task is gone.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskDeleted(pub TaskFact);

impl Event for TaskDeleted {
    const TYPE: EventType = EventType::TASK_DELETED;

    fn subject(&self) -> Option<String> {
        Some(self.0.subject())
    }
}

impl RowEvent for TaskDeleted {
    type Known = TaskDeed;

    const ROW_MEMBER: &'static str = "task";
    const SUBJECT_PREFIX: &'static str = "tasks/";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deed_is_a_fact_without_its_task() {
        let at = DateTime::UNIX_EPOCH;
        let task = TaskState {
            id: TaskId(1),
            title: "t".to_owned(),
            duration_microseconds: 1,
            version: 1,
            created_at: at,
            updated_at: at,
        };
        for session_id in [None, Some(SessionId(uuid::Uuid::from_u128(3)))] {
            let origin = Origin::new(Some([127, 0, 0, 1].into()), Some("curl"), None);
            let (user_id, username) = (UserId(7), "froggly".to_owned());
            let deed = TaskDeed { user_id, username: username.clone(), session_id, origin: origin.clone() };
            let fact = TaskCreated(TaskFact { user_id, username, session_id, task: task.clone(), origin });
            let mut fact = serde_json::to_value(fact).unwrap();
            fact.as_object_mut().unwrap().remove(TaskCreated::ROW_MEMBER);
            assert_eq!(serde_json::to_value(deed).unwrap(), fact);
        }
    }
}
