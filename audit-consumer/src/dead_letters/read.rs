//! Looking at dead letters.

use lapin::types::FieldTable;
use serde::Serialize;
use serde_json::Value;
use shared::operator::{Counts, Filter};

use super::{Desk, DeskError, Letter};
use crate::headers;

/// Up to how many letters all are looked at, whatever the limit: RabbitMQ puts what comes back behind what came back before, and ten or
/// more that were got one by one in an order of its own, so the oldest may lie anywhere.
const ALL_LOOKED_AT_MAX: u64 = 10_000;
/// When so many are kept beyond the limit they are sorted, and the others dropped.
const KEPT_MAX: usize = 10_000;

/// A dead letter in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InFull {
    /// What is listed of it.
    #[serde(flatten)]
    pub letter: Letter,
    /// All its headers.
    pub headers: Value,
    /// Its body.
    #[serde(skip)]
    pub body: Vec<u8>,
}

/// The oldest that match, or the newest, at most `limit`: by the second in which they died.
pub async fn list(
    desk: &mut Desk,
    filter: &Filter,
    newest: bool,
    limit: usize,
) -> Result<(Vec<Letter>, Counts), DeskError> {
    let (mut letters, mut all, mut matching) = (Vec::new(), 0, 0);
    let mut seen_all = true;
    while let Some((delivery, behind)) = desk.take().await? {
        all = u64::max(all, u64::from(behind) + 1);
        let letter = Letter::of(&delivery);
        if !letter.meets(filter) {
            continue;
        }
        matching += 1;
        if !newest && letters.len() >= limit && all > ALL_LOOKED_AT_MAX {
            seen_all = false;
            break;
        }
        letters.push(letter);
        if letters.len() >= limit.saturating_add(KEPT_MAX) {
            keep(&mut letters, newest, limit);
        }
    }
    keep(&mut letters, newest, limit);
    if newest {
        letters.reverse();
    }
    Ok((letters, Counts { matching: seen_all.then_some(matching), all }))
}

/// Sorts them, the oldest first, and keeps the first or the last.
fn keep(letters: &mut Vec<Letter>, newest: bool, limit: usize) {
    letters.sort_by_key(|letter| letter.died_at);
    if newest {
        letters.drain(..letters.len().saturating_sub(limit));
    } else {
        letters.truncate(limit);
    }
}

/// All that have this id.
pub async fn find(desk: &mut Desk, id: &str) -> Result<Vec<InFull>, DeskError> {
    let mut found = Vec::new();
    while let Some((delivery, _)) = desk.take().await? {
        let letter = Letter::of(&delivery);
        if letter.id != id {
            continue;
        }
        let empty = FieldTable::default();
        let headers = headers::as_json(delivery.properties.headers().as_ref().unwrap_or(&empty));
        found.push(InFull { letter, headers, body: delivery.data });
    }
    Ok(found)
}
