//! `parked list`, `show`, `replay` and `discard`.

use anyhow::Context;
use shared::clock::Clock;
use shared::config::Reader;
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::operator::{
    ActArguments, Body, EndCommand, ListArguments, Pick, ShowArguments, Verb, cell, in_batches, instant,
    print_list, shown,
};
use shared::outbox::Outbox;
use shared::outbox::parked_events::{self, Parked};
use sqlx::PgPool;
use uuid::Uuid;

use super::{block_on, print, read_database};
use crate::config::PROGRAM;

const IDS: &str = "the id of an event, a UUID";

/// What may be done with parked events. What is told of it waits in the outbox for a program with a relay.
pub(super) fn parked(reader: Reader, command: EndCommand) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let database = connect_for_command(&config, PROGRAM).await?;
        match command {
            EndCommand::List(arguments) => list(&database, &arguments).await,
            EndCommand::Show(arguments) => show(&database, &arguments).await,
            EndCommand::Replay(arguments) => act(&database, &arguments, Verb::Replay).await,
            EndCommand::Discard(arguments) => act(&database, &arguments, Verb::Discard).await,
        }
    })
}

async fn list(database: &PgPool, arguments: &ListArguments) -> anyhow::Result<()> {
    let filter = arguments.filter(Clock::system().now());
    let rows = parked_events::list(database, &filter, arguments.newest, arguments.limit.into()).await?;
    let counts = parked_events::count(database, &filter).await?;
    let titles = ["ID", "TYPE", "EXCHANGE", "KEY", "PARKED", "NEXT TRY", "TRIES", "BYTES", "REASON"];
    print_list(&rows, counts, arguments.json, (titles, cells))
}

fn cells(row: &Parked) -> [String; 9] {
    [
        row.event_id.to_string(),
        row.event_type.clone().unwrap_or_default(),
        row.exchange.clone(),
        row.routing_key.clone(),
        instant(row.parked_at),
        row.retry_at.map(instant).unwrap_or_default(),
        row.attempts.to_string(),
        row.body_bytes.to_string(),
        cell(&row.reason),
    ]
}

async fn show(database: &PgPool, arguments: &ShowArguments) -> anyhow::Result<()> {
    let id: Uuid = arguments.id(IDS)?;
    let (row, body) = parked_events::find(database, id)
        .await?
        .with_context(|| format!("no parked event has the id {id}"))?;
    print(&shown(&row, &Body::of(body.into_bytes()), arguments.json)?)
}

async fn act(database: &PgPool, arguments: &ActArguments, verb: Verb) -> anyhow::Result<()> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let selection = arguments.selection::<Uuid>(IDS, clock.now())?;
    let operation = arguments.operation(&format!("{PROGRAM} parked {}", verb.name()), &clock, &entropy);
    let outbox = Outbox::new(PROGRAM, clock, entropy);
    let (outbox, operation) = (&outbox, &operation);
    in_batches(selection, (verb, arguments.json), async |pick: Pick<Uuid>| {
        let acted = match verb {
            Verb::Replay => parked_events::replay(database, outbox, operation, pick).await,
            Verb::Discard => parked_events::discard(database, outbox, operation, pick).await,
        };
        Ok(acted?)
    })
    .await
}
