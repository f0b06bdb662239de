//! Giving letters to their queues again, and throwing them away: written to the outbox, published and confirmed, committed,
//! then acknowledged.

use std::collections::HashSet;

use shared::broker::topology::AUDIT_QUEUE;
use shared::broker::{Delivery, PublishError};
use shared::contracts::operators::{DeadLetterDiscarded, DeadLetterReplayed};
use shared::operator::{Deed, Operation, Selection};
use shared::outbox::{AppendError, Outbox};
use sqlx::{Connection, PgConnection, PgPool};
use uuid::Uuid;

use super::{Desk, DeskError, Letter, Sender};

/// How many letters are told in one transaction. Each has a savepoint of its own, and more than 64 in one transaction would
/// slow everybody's snapshots.
const BATCH: usize = 50;

/// Why a batch was not done to its end. What was done before is told all the same.
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
    /// There is no transaction to be had, or it broke.
    #[error("the database that keeps what is told did not do its part")]
    Database(#[source] sqlx::Error),
    /// The event can't be written, which is tried before anything is done to its letter.
    #[error(
        "what would be done to a letter can't be told, so it was not done; DATABASE_URL needs a login that may write to the \
         outbox, such as warren_audit_consumer's"
    )]
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

/// Acts on everything selected that lies there now, and tells `tell` what became of each, also of a batch that broke off.
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
            let (deeds, settled) = office.settle(desk, &hand).await;
            tell(&deeds).map_err(ActError::Print)?;
            settled?;
            hand.clear();
        }
    }
    let (mut deeds, settled) = office.settle(desk, &hand).await;
    if let Selection::Named(ids) = selection {
        let missing = ids.iter().filter(|id| !met.contains(*id));
        let why = "no dead letter has this id, or somebody else has it in hand";
        deeds.extend(missing.map(|id| Deed::failed(id, why)));
    }
    tell(&deeds).map_err(ActError::Print)?;
    settled
}

/// What is done, and where it is told.
struct Office<'a> {
    way: Way<'a>,
    database: &'a PgPool,
    outbox: &'a Outbox,
    operation: &'a Operation,
}

/// A letter that was tried: where it is now, or why nothing was done to it.
struct Tried<'a> {
    letter: &'a Letter,
    delivery: &'a Delivery,
    outcome: Result<Option<String>, String>,
}

impl Office<'_> {
    /// What became of each that was tried, and what broke off.
    async fn settle(&self, desk: &Desk, hand: &[(Letter, Delivery)]) -> (Vec<Deed>, Result<(), ActError>) {
        if hand.is_empty() {
            return (Vec::new(), Ok(()));
        }
        let mut transaction = match self.database.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return (Vec::new(), Err(ActError::Database(error))),
        };
        let mut tried = Vec::new();
        let acted = self.try_each(&mut transaction, hand, &mut tried).await;
        // What has arrived is told and given up, even if something broke behind it.
        let (ended, doubt) = if let Err(error) = transaction.commit().await {
            (Err(ActError::Database(error)), Some(UNTOLD))
        } else {
            self.outbox.wake();
            let given_up = give_up(desk, &tried).await;
            let doubt = given_up.is_err().then_some(UNHEARD);
            (given_up.map_err(ActError::Desk), doubt)
        };
        let deeds = tried.iter().map(|tried| deed(tried, doubt)).collect();
        (deeds, acted.and(ended))
    }

    /// Each is written to the outbox before it is sent: a database that is away, or a login that may not write, shows before
    /// anything is done.
    async fn try_each<'h>(
        &self,
        transaction: &mut PgConnection,
        hand: &'h [(Letter, Delivery)],
        tried: &mut Vec<Tried<'h>>,
    ) -> Result<(), ActError> {
        for (letter, delivery) in hand {
            let mut savepoint = transaction.begin().await.map_err(ActError::Database)?;
            self.tell(&mut savepoint, letter).await?;
            let (outcome, interrupted) = match self.send(letter, delivery).await {
                Ok(outcome) => (outcome, None),
                Err(error) => (Err("it may be in its queue or not".to_owned()), Some(error)),
            };
            let done = outcome.is_ok();
            tried.push(Tried { letter, delivery, outcome });
            let ended = if done { savepoint.commit().await } else { savepoint.rollback().await };
            if let Some(error) = interrupted {
                return Err(ActError::Publish(error));
            }
            ended.map_err(ActError::Database)?;
        }
        Ok(())
    }

    async fn tell(&self, connection: &mut PgConnection, letter: &Letter) -> Result<(), AppendError> {
        let (trace, told) = (&self.operation.trace, letter.told(self.operation));
        let written = match self.way {
            Way::Again(_) => self.outbox.append(connection, trace, DeadLetterReplayed(told)).await,
            Way::Away => self.outbox.append(connection, trace, DeadLetterDiscarded(told)).await,
        };
        written.map(|_| ())
    }

    async fn send(
        &self,
        letter: &Letter,
        delivery: &Delivery,
    ) -> Result<Result<Option<String>, String>, PublishError> {
        let Way::Again(sender) = self.way else { return Ok(Ok(None)) };
        let Some(queue) = &letter.queue else {
            return Ok(Err("it does not say in which queue it died (x-first-death-queue)".to_owned()));
        };
        let sent = sender.send(delivery, queue).await?;
        Ok(sent.map(|()| Some(format!("it is in {queue}"))))
    }
}

/// What is to be said of a letter that was tried.
fn deed(tried: &Tried<'_>, doubt: Option<&str>) -> Deed {
    let Tried { letter, outcome, .. } = tried;
    let id = &letter.id;
    match (outcome, doubt) {
        (Err(why), _) => Deed::failed(id, why),
        (Ok(Some(place)), Some(doubt)) => Deed::failed(id, format!("{place}; {doubt}")),
        (Ok(None), Some(doubt)) => Deed::failed(id, doubt),
        (Ok(Some(place)), None) => Deed::done_so(id, place),
        (Ok(None), None) if comes_again(letter) => Deed::done_so(
            id,
            format!(
                "until the trail has this event, relays send it again by themselves; `producer-api parked discard {id} \
                 --reason …` ends that, once it is parked"
            ),
        ),
        (Ok(None), None) => Deed::done(id),
    }
}

/// What is to be said of a deed whose commit failed.
const UNTOLD: &str = "whether the trail is told nobody knows; it is among the dead letters still";
/// What is to be said of a deed that the broker may not have heard of.
const UNHEARD: &str = "the trail is told; it may be among the dead letters still: look again";

/// Whether it may be an event that the audit consumer should have had, and that the outbox keeps until it has.
fn comes_again(letter: &Letter) -> bool {
    let is_event = letter.message_id.as_deref().is_some_and(|id| Uuid::parse_str(id).is_ok());
    is_event && letter.queue.as_deref() == Some(AUDIT_QUEUE)
}

/// Acknowledges what was done, and makes sure that the broker has heard it.
async fn give_up(desk: &Desk, tried: &[Tried<'_>]) -> Result<(), DeskError> {
    let mut done = tried.iter().filter(|tried| tried.outcome.is_ok()).peekable();
    if done.peek().is_none() {
        return Ok(());
    }
    for tried in done {
        desk.done_with(tried.delivery).await?;
    }
    desk.heard().await
}
