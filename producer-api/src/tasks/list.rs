//! Somebody's tasks, page by page.

use shared::ids::UserId;

use super::place::Place;
use super::store::{self, Task};
use crate::fault::Fault;
use crate::state::AppState;

/// How many the list shows unless more or fewer are asked for.
pub const RECENT: u16 = 4;

/// Tasks, the newest first.
#[derive(Debug)]
pub struct Page {
    /// They.
    pub tasks: Vec<Task>,
    /// After which the next page begins; none if this is the last.
    pub next: Option<Place>,
}

/// At most `limit` tasks of a user, those after `after`.
pub async fn list(state: &AppState, user: UserId, after: Option<Place>, limit: u16) -> Result<Page, Fault> {
    // One more tells whether there is a next page.
    let wanted = i64::from(limit) + 1;
    let mut connection = state.database.acquire().await?;
    let mut tasks = match after {
        None => store::newest(&mut connection, user, wanted).await?,
        Some(place) => store::newest_after(&mut connection, user, place, wanted).await?,
    };
    let more = tasks.len() > usize::from(limit);
    tasks.truncate(usize::from(limit));
    let next = tasks.last().filter(|_| more).map(Place::from);
    Ok(Page { tasks, next })
}
