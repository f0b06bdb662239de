//! Looking at dead letters.

use std::collections::VecDeque;

use lapin::types::FieldTable;
use serde::Serialize;
use serde_json::Value;
use shared::operator::{Counts, Filter};

use super::{Desk, DeskError, Letter};
use crate::headers;

/// Up to how many letters all are looked at, whatever the limit. RabbitMQ puts what comes back behind what came back before,
/// so taking some of them again and again would shuffle them; taking all keeps their order.
const ALL_LOOKED_AT_MAX: u64 = 10_000;

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

/// The first that match, or the last, at most `limit`.
pub async fn list(
    desk: &mut Desk,
    filter: &Filter,
    newest: bool,
    limit: usize,
) -> Result<(Vec<Letter>, Counts), DeskError> {
    let (mut letters, mut all, mut matching) = (VecDeque::new(), 0, 0);
    let mut seen_all = true;
    while let Some((delivery, behind)) = desk.take().await? {
        all = u64::max(all, u64::from(behind) + 1);
        let letter = Letter::of(&delivery);
        if !letter.meets(filter) {
            continue;
        }
        matching += 1;
        if newest {
            letters.push_front(letter);
            letters.truncate(limit);
        } else if letters.len() < limit {
            letters.push_back(letter);
        } else if all > ALL_LOOKED_AT_MAX {
            seen_all = false;
            break;
        }
    }
    Ok((letters.into(), Counts { matching: seen_all.then_some(matching), all }))
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
