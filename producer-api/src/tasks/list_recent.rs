//! The caller's last tasks.

use shared::ids::UserId;

use super::store::{self, Task};
use crate::fault::Fault;
use crate::state::AppState;

/// How many the list shows.
const RECENT: i64 = 4;

/// The last four tasks of a user, newest first.
pub async fn list_recent(state: &AppState, user: UserId) -> Result<Vec<Task>, Fault> {
    let mut connection = state.database.acquire().await?;
    Ok(store::newest(&mut connection, user, RECENT).await?)
}
