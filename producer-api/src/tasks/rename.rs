//! Giving a task another title.

use shared::contracts::tasks::TaskUpdated;
use shared::ids::TaskId;
use shared::task_duration::TaskDuration;

use super::deed::deed;
use super::find::find;
use super::owned::Owned;
use super::store::{self, Renaming, Task};
use super::title::TaskTitle;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{SignedIn, note_denied};
use crate::state::AppState;

/// What is wanted of a task.
#[derive(Debug, Default)]
pub struct TaskChange {
    /// Another title, if one is given.
    pub title: Option<TaskTitle>,
    /// The duration that the caller believes it has, if he says so.
    pub duration: Option<TaskDuration>,
}

/// Why a task was not renamed.
#[derive(Debug, thiserror::Error)]
pub enum RenameTaskError {
    /// The caller has no such task.
    #[error("there is no such task")]
    NotFound,
    /// Its duration is another than the one that was sent.
    #[error("a task's duration can't be changed")]
    OtherDuration,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for RenameTaskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Changes a task of the caller, and tells of it; gives it as it is then. Where nothing changes there is no new version
/// and no event.
pub async fn rename(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    id: TaskId,
    change: TaskChange,
) -> Result<Task, RenameTaskError> {
    let found = match &change.title {
        None => find(state, context, who, id).await?.ok_or(RenameTaskError::NotFound)?,
        Some(title) => retitle(state, context, who, (id, title, change.duration)).await?,
    };
    // A duration never changes, so what was not renamed for it can be told by it now.
    match change.duration {
        Some(duration) if duration != found.duration => Err(RenameTaskError::OtherDuration),
        _ => Ok(found),
    }
}

async fn retitle(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    (id, title, expected): (TaskId, &TaskTitle, Option<TaskDuration>),
) -> Result<Task, RenameTaskError> {
    let event = state.outbox.draft::<TaskUpdated>(&context.trace, deed(who, context)).map_err(Fault::from)?;
    let at = state.clock.now();
    let mut connection = state.database.acquire().await?;
    let renaming = store::rename(&mut connection, event, (who.user_id, id), title, expected, at).await?;
    drop(connection);
    match renaming {
        Owned::Own(Renaming { task, changed }) => {
            if changed {
                state.outbox.wake();
            }
            Ok(task)
        }
        Owned::Anothers => {
            note_denied(state, context, who, format!("tasks/{id}"));
            Err(RenameTaskError::NotFound)
        }
        Owned::Missing => Err(RenameTaskError::NotFound),
    }
}
