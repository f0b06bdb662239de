//! Acting on many rows, a batch in each transaction.

use super::arguments::Selection;
use super::filter::Filter;
use super::report::{Deed, Report, Verb, print};

/// How many ids are acted upon in one transaction.
const NAMED_MAX: usize = 50;

/// What one transaction is to act upon.
#[derive(Debug, Clone)]
pub enum Pick<Id> {
    /// These.
    Named(Vec<Id>),
    /// The next few that match, behind a place.
    Behind {
        /// Which match.
        filter: Filter,
        /// The last place that was acted upon.
        place: i64,
    },
}

/// What one transaction did.
#[derive(Debug, Default)]
pub struct Batch {
    /// What became of each.
    pub deeds: Vec<Deed>,
    /// The last place acted upon; none when nothing was left.
    pub last: Option<i64>,
}

/// Acts on everything selected, batch by batch, and prints what became of each. Places only rise, so what comes back to
/// the same end meanwhile is not acted upon again.
pub async fn in_batches<Id: Clone>(
    selection: Selection<Id>,
    (verb, json): (Verb, bool),
    mut act: impl AsyncFnMut(Pick<Id>) -> anyhow::Result<Batch>,
) -> anyhow::Result<()> {
    let mut report = Report::new(verb.past(), json);
    match selection {
        Selection::Named(ids) => {
            for some in ids.chunks(NAMED_MAX) {
                let batch = act(Pick::Named(some.to_vec())).await?;
                print(&report.lines(&batch.deeds)?)?;
            }
        }
        Selection::Matching(filter) => {
            let mut place = i64::MIN;
            loop {
                let batch = act(Pick::Behind { filter: filter.clone(), place }).await?;
                print(&report.lines(&batch.deeds)?)?;
                let Some(last) = batch.last else { break };
                place = last;
            }
        }
    }
    print(&report.summary())?;
    Ok(report.finish()?)
}
