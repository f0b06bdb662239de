//! `dead-letters list`, `show`, `replay` and `discard`.

use std::io::Write;

use shared::clock::Clock;
use shared::config::{BrokerConfig, DatabaseConfig, Reader};
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::operator::{
    ActArguments, Body, EndCommand, ListArguments, Report, ShowArguments, Verb, cell, harmless, instant,
    print, print_list, shown,
};
use shared::outbox::Outbox;

use super::block_on;
use crate::config::PROGRAM;
use crate::dead_letters::{self, Desk, Letter, Sender, Way};

/// What may be done with dead letters. Whoever only looks needs no database.
pub(super) fn dead_letters(mut reader: Reader, command: EndCommand) -> anyhow::Result<()> {
    let broker = BrokerConfig::read(&mut reader);
    match command {
        EndCommand::List(arguments) => {
            let broker = reader.finish(broker)?;
            block_on(list(&broker, &arguments))
        }
        EndCommand::Show(arguments) => {
            let broker = reader.finish(broker)?;
            block_on(show(&broker, &arguments))
        }
        EndCommand::Replay(arguments) => act(reader, broker, &arguments, Verb::Replay),
        EndCommand::Discard(arguments) => act(reader, broker, &arguments, Verb::Discard),
    }
}

async fn list(broker: &BrokerConfig, arguments: &ListArguments) -> anyhow::Result<()> {
    let filter = arguments.filter(Clock::system().now());
    let limit = usize::try_from(arguments.limit)?;
    let mut desk = Desk::open(broker).await?;
    let listed = dead_letters::list(&mut desk, &filter, arguments.newest, limit).await;
    desk.close().await;
    let (letters, counts) = listed?;
    let titles = ["ID", "TYPE", "KEY", "DIED", "BYTES", "REASON"];
    print_list(&letters, counts, arguments.json, (titles, cells))
}

fn cells(letter: &Letter) -> [String; 6] {
    [
        // An id is there to be repeated, so it is not cut.
        harmless(&letter.id),
        letter.event_type.as_deref().map(cell).unwrap_or_default(),
        cell(&letter.routing_key),
        letter.died_at.map(instant).unwrap_or_default(),
        letter.body_bytes.to_string(),
        cell(&letter.reason),
    ]
}

async fn show(broker: &BrokerConfig, arguments: &ShowArguments) -> anyhow::Result<()> {
    let id: String = arguments.id("an id")?;
    let mut desk = Desk::open(broker).await?;
    let found = dead_letters::find(&mut desk, &id).await;
    desk.close().await;
    let found = found?;
    anyhow::ensure!(!found.is_empty(), "no dead letter has the id {id}, or somebody else has it in hand");
    for mut letter in found {
        let body = Body::of(std::mem::take(&mut letter.body));
        print(&shown(&letter, &body, arguments.json)?)?;
    }
    Ok(())
}

fn act(mut reader: Reader, broker: BrokerConfig, arguments: &ActArguments, verb: Verb) -> anyhow::Result<()> {
    let database = DatabaseConfig::read(&mut reader);
    let (broker, database) = reader.finish((broker, database))?;
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let selection = arguments.selection::<String>("an id", clock.now())?;
    let operation = arguments.operation(&format!("{PROGRAM} dead-letters {}", verb.name()), &clock, &entropy);
    let outbox = Outbox::new(PROGRAM, clock, entropy);
    block_on(async {
        let database = connect_for_command(&database, PROGRAM).await?;
        let mut desk = Desk::open(&broker).await?;
        let sender = match verb {
            Verb::Replay => Some(Sender::open(&broker).await?),
            Verb::Discard => None,
        };
        let way = sender.as_ref().map_or(Way::Away, Way::Again);
        let mut report = Report::new(verb.past(), arguments.json);
        let place = (&database, &outbox, &operation);
        let tell = |deeds: &[_]| print(&report.lines(deeds)?);
        let acted = dead_letters::act(&mut desk, way, place, &selection, tell).await;
        desk.close().await;
        if let Some(sender) = sender {
            sender.close().await;
        }
        print(&report.summary())?;
        acted?;
        if report.is_empty() {
            remind_of_others(arguments.json)?;
        }
        Ok(report.finish()?)
    })
}

/// Whoever finds nothing might believe that nothing lies there.
fn remind_of_others(json: bool) -> anyhow::Result<()> {
    let words = "no dead letter was found; those that another command has in hand are not seen\n";
    if json { Ok(write!(std::io::stderr().lock(), "{words}")?) } else { print(words) }
}
