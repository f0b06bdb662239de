//! `topology export`, `topology check` and `topology apply`.

use std::io::Write;

use clap::{Args, Subcommand};
use shared::broker::definitions::definitions;
use shared::config::{BrokerConfig, Reader};
use shared::operator::json_lines;

use super::{block_on, print};
use crate::config::{read_amqp_passwords, read_management_url};
use crate::topology::{self, Applied, Checked, Difference, Management, UserApplied, apply};

/// What to do with the broker's exchanges, queues and bindings.
#[derive(Debug, Subcommand)]
pub(super) enum TopologyCommand {
    /// Prints them in RabbitMQ's format of definitions, for `rabbitmqctl import_definitions` or the management API.
    Export(VirtualHost),
    /// Lists every difference between them and a broker's virtual host, both ways, by the management API at
    /// `MANAGEMENT_URL`. An administrator's login sees the users and their rights, too. Exit code 0: there is none; 1: there
    /// are some, or they can't be looked at.
    Check(Check),
    /// Declares them, and makes the users of the programs and of operators with their rights, by the management API at
    /// `MANAGEMENT_URL`, as an administrator. Deletes and changes no queue and no exchange. Exit code 1: one of ours that was
    /// there before differs.
    Apply(VirtualHost),
}

/// Which virtual host.
#[derive(Debug, Args)]
pub(super) struct VirtualHost {
    /// The virtual host; that of `AMQP_URL` or `RABBITMQ_VHOST` if not given.
    #[arg(long = "virtual-host", value_name = "NAME")]
    name: Option<String>,
}

/// What is looked at.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    virtual_host: VirtualHost,
    /// An exchange or queue of others that may be there, bound to ours; may be given several times.
    #[arg(long, value_name = "NAME")]
    also: Vec<String>,
    /// As JSON, one object a line.
    #[arg(long)]
    json: bool,
}

impl VirtualHost {
    fn read(self, reader: &mut Reader) -> String {
        self.name.unwrap_or_else(|| BrokerConfig::read(reader).virtual_host())
    }
}

/// Runs one of them; whether all is as it should be.
pub(super) fn topology(reader: Reader, command: TopologyCommand) -> anyhow::Result<bool> {
    match command {
        TopologyCommand::Export(virtual_host) => export(reader, virtual_host),
        TopologyCommand::Check(arguments) => check(reader, arguments),
        TopologyCommand::Apply(arguments) => put_in_place(reader, arguments),
    }
}

fn export(mut reader: Reader, virtual_host: VirtualHost) -> anyhow::Result<bool> {
    let virtual_host = virtual_host.read(&mut reader);
    let definitions = definitions(&reader.finish(virtual_host)?);
    print(&format!("{}\n", serde_json::to_string_pretty(&definitions)?))?;
    Ok(true)
}

fn check(mut reader: Reader, Check { virtual_host, also, json }: Check) -> anyhow::Result<bool> {
    let management = (read_management_url(&mut reader), virtual_host.read(&mut reader));
    let (url, virtual_host) = reader.finish(management)?;
    block_on(async {
        let management = Management::new(&url, virtual_host)?;
        let Checked { differences, saw_users } = topology::check(&management, &also).await?;
        let unseen = if saw_users { "" } else { "users were not looked at (needs an administrator)\n" };
        let how = if differences.is_empty() { "as it should be" } else { "not as it should be" };
        let verdict = format!("the virtual host {} is {how}\n", management.virtual_host());
        if json {
            write!(std::io::stderr().lock(), "{verdict}{unseen}")?;
            print(&json_lines(&differences)?)?;
        } else if differences.is_empty() {
            print(&(verdict + unseen))?;
        } else {
            // A line is a difference.
            write!(std::io::stderr().lock(), "{verdict}")?;
            print(&(lines(&differences) + unseen))?;
        }
        Ok(differences.is_empty())
    })
}

fn put_in_place(mut reader: Reader, virtual_host: VirtualHost) -> anyhow::Result<bool> {
    let passwords = read_amqp_passwords(&mut reader);
    let management = (read_management_url(&mut reader), virtual_host.read(&mut reader));
    let ((url, virtual_host), passwords) = reader.finish((management, passwords))?;
    block_on(async {
        let management = Management::new(&url, virtual_host)?;
        let applied = apply(&management, &passwords).await?;
        print(&report(&applied, management.virtual_host()))?;
        Ok(applied.is_good())
    })
}

fn report(applied: &Applied, virtual_host: &str) -> String {
    let made = format!("made the virtual host {virtual_host}\n");
    let mut text = if applied.made_virtual_host { made } else { String::new() };
    text.extend(["exchanges, queues and bindings are declared in the virtual host ", virtual_host, "\n"]);
    for (role, user) in &applied.users {
        let what = match user {
            UserApplied::WithPassword => "has its rights and the password that was given",
            UserApplied::RightsAlone => "has its rights; no password was given, so that it keeps its own",
            UserApplied::NotMade => "is not there and was not made, because no password was given",
        };
        text.extend(["the user ", role.name(), " ", what, "\n"]);
    }
    text + &lines(&applied.differences)
}

fn lines(differences: &[Difference]) -> String {
    let lines: Vec<String> = differences.iter().map(|difference| format!("{difference}\n")).collect();
    lines.concat()
}
