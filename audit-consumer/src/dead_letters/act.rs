//! Giving letters to their queues again, and throwing them away: published and confirmed, then told, then acknowledged.

use std::collections::HashSet;

use shared::broker::{Delivery, PublishError};
use shared::contracts::operators::{DeadLetterDiscarded, DeadLetterReplayed};
use shared::operator::{Deed, Operation, Selection};
use shared::outbox::{AppendError, Outbox};
use sqlx::PgPool;

use super::{Desk, DeskError, Letter, Sender};

/// How many letters are told in one transaction.
const BATCH: usize = 100;

/// Why a batch was not done to its end.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The letters can't be taken or given up.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// Nobody knows whether a letter arrived.
    #[error(
        "a letter may be in its queue or not; it is among the dead letters still, and may be replayed again"
    )]
    Publish(#[source] PublishError),
    /// The trail can't be told.
    #[error("what was done to a batch can't be told; its letters are among the dead letters still")]
    Database(#[source] sqlx::Error),
    /// The same.
    #[error("what was done to a batch can't be told; its letters are among the dead letters still")]
    Untold(#[from] AppendError),
    /// Nobody can be shown what was done.
    #[error("what was done can't be printed")]
    Print(#[source] anyhow::Error),
}

/// What is done to letters.
#[derive(Debug, Clone, Copy)]
pub enum Way<'a> {
    /// They are given to the queues they died in.
    Again(&'a Sender),
    /// They are thrown away.
    Away,
}

/// Acts on everything selected that lies there now, and tells `tell` what became of each.
pub async fn act(
    desk: &mut Desk,
    way: Way<'_>,
    (database, outbox, operation): (&PgPool, &Outbox, &Operation),
    selection: &Selection<String>,
    mut tell: impl FnMut(&[Deed]) -> anyhow::Result<()>,
) -> Result<(), ActError> {
    let office = Office { way, database, outbox, operation };
    let (mut hand, mut met) = (Vec::new(), HashSet::new());
    while let Some((delivery, _)) = desk.take().await? {
        let letter = Letter::of(&delivery);
        if !letter.is_in(selection) {
            continue;
        }
        met.insert(letter.id.clone());
        hand.push((letter, delivery));
        if hand.len() == BATCH {
            tell(&office.settle(desk, &hand).await?).map_err(ActError::Print)?;
            hand.clear();
        }
    }
    let mut deeds = office.settle(desk, &hand).await?;
    if let Selection::Named(ids) = selection {
        let missing = ids.iter().filter(|id| !met.contains(*id));
        let why = "no dead letter has this id, or somebody else has it in hand";
        deeds.extend(missing.map(|id| Deed::failed(id, why)));
    }
    tell(&deeds).map_err(ActError::Print)
}

/// What is done, and where it is told.
struct Office<'a> {
    way: Way<'a>,
    database: &'a PgPool,
    outbox: &'a Outbox,
    operation: &'a Operation,
}

impl Office<'_> {
    async fn settle(&self, desk: &Desk, hand: &[(Letter, Delivery)]) -> Result<Vec<Deed>, ActError> {
        let (mut done, mut deeds, mut interrupted) = (Vec::new(), Vec::new(), None);
        for (letter, delivery) in hand {
            match self.send(letter, delivery).await {
                Ok(Ok(deed)) => {
                    deeds.push(deed);
                    done.push((letter, delivery));
                }
                Ok(Err(why)) => deeds.push(Deed::failed(&letter.id, why)),
                Err(error) => {
                    interrupted = Some(error);
                    break;
                }
            }
        }
        // What has arrived is told and given up, even if something broke behind it.
        self.tell(done.iter().map(|(letter, _)| *letter)).await?;
        for (_, delivery) in done {
            desk.done_with(delivery).await?;
        }
        interrupted.map_or(Ok(deeds), |error| Err(ActError::Publish(error)))
    }

    async fn send(&self, letter: &Letter, delivery: &Delivery) -> Result<Result<Deed, String>, PublishError> {
        let Way::Again(sender) = self.way else { return Ok(Ok(Deed::done(&letter.id))) };
        let Some(queue) = &letter.queue else {
            return Ok(Err("it does not say in which queue it died (x-first-death-queue)".to_owned()));
        };
        let sent = sender.send(delivery, queue).await?;
        Ok(sent.map(|()| Deed::done_so(&letter.id, format!("it is in {queue}"))))
    }

    async fn tell<'l>(&self, letters: impl Iterator<Item = &'l Letter>) -> Result<(), ActError> {
        let told: Vec<_> = letters.map(|letter| letter.told(self.operation)).collect();
        if told.is_empty() {
            return Ok(());
        }
        let mut transaction = self.database.begin().await.map_err(ActError::Database)?;
        let trace = &self.operation.trace;
        match self.way {
            Way::Again(_) => {
                let events = told.into_iter().map(DeadLetterReplayed);
                self.outbox.append_all(&mut transaction, trace, events).await?;
            }
            Way::Away => {
                let events = told.into_iter().map(DeadLetterDiscarded);
                self.outbox.append_all(&mut transaction, trace, events).await?;
            }
        }
        transaction.commit().await.map_err(ActError::Database)?;
        self.outbox.wake();
        Ok(())
    }
}
