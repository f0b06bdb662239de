//! Making a task.

use shared::contracts::tasks::{TaskCreated, TaskFact};
use shared::task_duration::TaskDuration;

use super::store::{self, Task};
use super::title::TaskTitle;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;

/// What a task is made of; every part is checked already.
#[derive(Debug)]
pub struct NewTask {
    /// What is to be done.
    pub title: TaskTitle,
    /// How long it takes.
    pub duration: TaskDuration,
}

/// Why no task was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateTaskError {
    /// The caller's account was deleted meanwhile.
    #[error("the user is gone")]
    UserGone,
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for CreateTaskError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes a task of the caller, and its event.
pub async fn create(
    state: &AppState,
    context: &RequestContext,
    owner: SignedIn,
    task: NewTask,
) -> Result<Task, CreateTaskError> {
    let now = state.clock.now();
    let mut transaction = state.database.begin().await?;
    let inserted = store::insert(&mut transaction, owner.user_id, &task.title, task.duration, now).await?;
    let task = inserted.ok_or(CreateTaskError::UserGone)?;
    let event = TaskCreated(TaskFact {
        user_id: owner.user_id,
        username: owner.username,
        session_id: owner.session_id,
        task: (&task).into(),
        origin: context.origin(),
    });
    state.outbox.append(&mut transaction, &context.trace, event).await.map_err(Fault::from)?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(task)
}
