//! `quarantine list`, `show`, `replay` and `discard`.

use anyhow::Context;
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::operator::{
    ActArguments, Body, EndCommand, ListArguments, Pick, ShowArguments, Verb, cell, in_batches, instant,
    print, print_list, shown,
};
use shared::outbox::Outbox;
use sqlx::PgPool;

use super::block_on;
use crate::config::PROGRAM;
use crate::quarantine::{self, Quarantined};

const IDS: &str = "the number of a row of audit.quarantine";

/// What may be done with the quarantine. What is told of it waits in the outbox for a program with a relay.
pub(super) fn quarantine(mut reader: Reader, command: EndCommand) -> anyhow::Result<()> {
    let config = DatabaseConfig::read(&mut reader);
    let config = reader.finish(config)?;
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
    let rows = quarantine::list(database, &filter, arguments.newest, arguments.limit.into()).await?;
    let counts = quarantine::count(database, &filter).await?;
    let titles = ["ID", "TYPE", "EXCHANGE", "KEY", "FIRST SEEN", "BYTES", "MESSAGE ID", "REASON"];
    print_list(&rows, counts, arguments.json, (titles, cells))
}

fn cells(row: &Quarantined) -> [String; 8] {
    let text = |text: &Option<String>| text.as_deref().map(cell).unwrap_or_default();
    [
        row.id.to_string(),
        text(&row.event_type),
        text(&row.exchange),
        text(&row.routing_key),
        instant(row.first_seen),
        row.body_bytes.to_string(),
        text(&row.message_id),
        cell(&row.reason),
    ]
}

async fn show(database: &PgPool, arguments: &ShowArguments) -> anyhow::Result<()> {
    let id: i64 = arguments.id(IDS)?;
    let mut found = quarantine::find(database, id)
        .await?
        .with_context(|| format!("no message of the quarantine has the id {id}"))?;
    let body = Body::of(std::mem::take(&mut found.raw));
    print(&shown(&found, &body, arguments.json)?)
}

async fn act(database: &PgPool, arguments: &ActArguments, verb: Verb) -> anyhow::Result<()> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let selection = arguments.selection::<i64>(IDS, clock.now())?;
    let operation = arguments.operation(&format!("{PROGRAM} quarantine {}", verb.name()), &clock, &entropy);
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy);
    let (outbox, operation) = (&outbox, &operation);
    in_batches(selection, (verb, arguments.json), async |pick: Pick<i64>| {
        let acted = match verb {
            Verb::Replay => quarantine::replay(database, (outbox, &clock), operation, pick).await,
            Verb::Discard => quarantine::discard(database, outbox, operation, pick).await,
        };
        Ok(acted?)
    })
    .await
}
