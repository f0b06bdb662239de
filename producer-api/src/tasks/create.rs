//! Making a task.

use shared::contracts::tasks::TaskCreated;
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

/// Makes a task of the caller, and its event.
pub async fn create(
    state: &AppState,
    context: &RequestContext,
    owner: SignedIn,
    task: NewTask,
) -> Result<Task, Fault> {
    let now = state.clock.now();
    let mut transaction = state.database.begin().await?;
    let task = store::insert(&mut transaction, owner.user_id, &task.title, task.duration, now).await?;
    let event = TaskCreated {
        user_id: owner.user_id,
        username: owner.username,
        session_id: owner.session_id,
        task: (&task).into(),
        origin: context.origin(),
    };
    state.outbox.append(&mut transaction, &context.trace, event).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(task)
}
