//! Deleting a task.

use shared::contracts::tasks::TaskDeleted;
use shared::ids::TaskId;

use super::deed::deed;
use super::owned::Owned;
use super::store;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{SignedIn, note_denied};
use crate::state::AppState;

/// Deletes a task of the caller, and tells of it; `false` if he has no such task.
pub async fn delete(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    id: TaskId,
) -> Result<bool, Fault> {
    let event = state.outbox.draft::<TaskDeleted>(&context.trace, deed(who, context))?;
    let mut connection = state.database.acquire().await?;
    let deleted = store::delete(&mut connection, event, who.user_id, id).await?;
    drop(connection);
    match deleted {
        Owned::Own(()) => state.outbox.wake(),
        Owned::Anothers => note_denied(state, context, who, format!("tasks/{id}")),
        Owned::Missing => {}
    }
    Ok(deleted == Owned::Own(()))
}
