//! Making a task for a request that may be sent again.

use std::time::Duration;

use shared::contracts::tasks::{TaskCreated, TaskState};

use super::key::{IdempotencyKey, digest_of};
use super::store::{self, Claim};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::SignedIn;
use crate::state::AppState;
use crate::tasks::deed::deed;
use crate::tasks::store::insert;
use crate::tasks::{NewTask, Task};

/// How long a key is remembered at least; `purge-expired-tokens` deletes it after that.
const KEPT: Duration = Duration::from_hours(24);

/// A task that was made for a key.
#[derive(Debug)]
pub struct Created {
    /// As it was when it was made.
    pub task: Task,
    /// Whether an earlier request made it.
    pub replayed: bool,
}

/// Why no task was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateOnceError {
    /// The key stands for another request.
    #[error("the key was used for another request")]
    OtherRequest,
    /// A request with this key is still under way.
    #[error("a request with this key is under way")]
    InFlight,
    /// The caller's account was deleted meanwhile.
    #[error("the user is gone")]
    UserGone,
    /// What was answered to the key can't be read any more.
    #[error("the answer of an idempotency key can't be read")]
    Unreadable(#[source] serde_json::Error),
    /// An outage or a fault.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<sqlx::Error> for CreateOnceError {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

/// Makes a task of the caller, and its event, unless a request with this key has done so within a day: then its answer is
/// given again.
pub async fn create_once(
    state: &AppState,
    context: &RequestContext,
    owner: &SignedIn,
    key: &IdempotencyKey,
    task: NewTask,
) -> Result<Created, CreateOnceError> {
    let (key, request, user) = (key.digest(), digest_of(&task), owner.user_id);
    let at = state.clock.now();
    let mut transaction = state.database.begin().await?;
    match store::claim(&mut transaction, user, (&key, &request), at, at - KEPT).await? {
        Claim::Ours => {}
        Claim::InFlight => return Err(CreateOnceError::InFlight),
        Claim::UserGone => return Err(CreateOnceError::UserGone),
        Claim::Taken => {
            return match store::answered(&mut transaction, user, &key).await? {
                Some((asked, Some(answer))) if asked == request => {
                    let task = serde_json::from_value(answer).map_err(CreateOnceError::Unreadable)?;
                    Ok(Created { task: of_state(task), replayed: true })
                }
                Some((_, Some(_))) => Err(CreateOnceError::OtherRequest),
                // Deleted between the two statements: the client may try again.
                Some((_, None)) | None => Err(CreateOnceError::InFlight),
            };
        }
    }
    let event =
        state.outbox.draft::<TaskCreated>(&context.trace, deed(owner, context)).map_err(Fault::from)?;
    let made = insert(&mut transaction, event, user, &task.title, task.duration, at).await?;
    let task = made.ok_or(CreateOnceError::UserGone)?;
    let answer = serde_json::to_value(TaskState::from(&task)).map_err(CreateOnceError::Unreadable)?;
    store::keep_answer(&mut transaction, user, &key, answer).await?;
    transaction.commit().await?;
    state.outbox.wake();
    Ok(Created { task, replayed: false })
}

fn of_state(state: TaskState) -> Task {
    Task {
        id: state.id,
        title: state.title,
        duration: shared::task_duration::TaskDuration::from_microseconds(state.duration_microseconds),
        version: state.version,
        created_at: state.created_at,
        updated_at: state.updated_at,
    }
}
