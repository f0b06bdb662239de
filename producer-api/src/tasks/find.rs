//! One task.

use shared::ids::TaskId;

use super::owned::Owned;
use super::store::{self, Task};
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::sessions::{SignedIn, note_denied};
use crate::state::AppState;

/// A task of the caller. That another's was asked for is counted.
pub async fn find(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    id: TaskId,
) -> Result<Option<Task>, Fault> {
    let mut connection = state.database.acquire().await?;
    let found = store::find(&mut connection, who.user_id, id).await?;
    drop(connection);
    Ok(match found {
        Owned::Own(task) => Some(task),
        Owned::Anothers => {
            note_denied(state, context, who, format!("tasks/{id}"));
            None
        }
        Owned::Missing => None,
    })
}
