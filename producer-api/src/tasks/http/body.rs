//! A task as clients see it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use shared::ids::TaskId;
use utoipa::ToSchema;

use crate::tasks::Task;

/// DRF's form: the duration as `HH:MM:SS`, instants in UTC with microseconds. `version` counts the changes, so that
/// whoever also listens to `/ws/tasks/` can tell which of two states is newer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Task)]
pub struct TaskBody {
    #[schema(value_type = i64)]
    id: TaskId,
    title: String,
    duration: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    version: i64,
}

impl From<Task> for TaskBody {
    fn from(task: Task) -> Self {
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Micros, true);
        Self {
            id: task.id,
            title: task.title,
            duration: task.duration.to_string(),
            created_at: instant(task.created_at),
            updated_at: instant(task.updated_at),
            version: task.version,
        }
    }
}
