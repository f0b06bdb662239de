//! Making a task.

use shared::contracts::tasks::TaskCreated;
use shared::task_duration::TaskDuration;

use super::deed::deed;
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
    owner: &SignedIn,
    task: NewTask,
) -> Result<Task, CreateTaskError> {
    let event =
        state.outbox.draft::<TaskCreated>(&context.trace, deed(owner, context)).map_err(Fault::from)?;
    let at = state.clock.now();
    let mut connection = state.database.acquire().await?;
    let made = store::insert(&mut connection, event, owner.user_id, &task.title, task.duration, at).await?;
    state.outbox.wake();
    made.ok_or(CreateTaskError::UserGone)
}
