//! `cargo xtask status`: what runs and where, for people and for scripts.

use std::process::ExitCode;

use serde::Serialize;

use super::{
    layout::Layout,
    programs::Program,
    servers::{POSTGRES, RABBITMQ},
    state::{Instance, State},
};
use crate::{
    console::{Colour, Console},
    exit, http,
    servers::server_in,
};

/// What `cargo xtask status` takes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct StatusArguments {
    /// One JSON object for scripts
    #[arg(long)]
    json: bool,
}

/// Shows what runs. The exit code is 1 if this checkout has no stack at all.
pub fn status(console: &Console, arguments: StatusArguments) -> anyhow::Result<ExitCode> {
    let layout = Layout::find()?;
    let state = State::load(&layout)?;
    if arguments.json {
        console.line(serde_json::to_string_pretty(&Report::of(state.as_ref()))?);
    } else {
        show(console, state.as_ref());
    }
    Ok(if state.is_some() { ExitCode::SUCCESS } else { exit::FAILED.into() })
}

/// The shape that scripts rely on, see DESIGN.md, section 10.
#[derive(Debug, Default, Serialize)]
struct Report {
    api_url: Option<String>,
    api_urls: Vec<String>,
    database_url: Option<String>,
    operator_database_url: Option<String>,
    amqp_url: Option<String>,
    management_url: Option<String>,
    mail_url: Option<String>,
    pids: Pids,
    health_urls: HealthUrls,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Pids {
    producer_api: Vec<u32>,
    audit_consumer: Vec<u32>,
    scheduler: Vec<u32>,
    postgres: Vec<u32>,
    rabbitmq: Vec<u32>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
struct HealthUrls {
    producer_api: Vec<String>,
    audit_consumer: Vec<String>,
    scheduler: Vec<String>,
}

impl Report {
    fn of(state: Option<&State>) -> Self {
        let Some((state, session)) = state.and_then(|state| Some((state, state.session.as_ref()?))) else {
            return Self::default();
        };
        let alive = |program| {
            session
                .instances
                .iter()
                .filter(move |instance| instance.program == program && instance.alive().is_some())
        };
        let pids = |program| alive(program).filter_map(|instance| Some(instance.process?.pid)).collect();
        let health = |program| alive(program).map(Instance::readiness_url).collect();
        let server =
            |name| server_in(&state.servers.join(name)).map(|server| server.pid).into_iter().collect();
        let api_urls: Vec<String> = alive(Program::ProducerApi).map(Instance::url).collect();
        Self {
            api_url: api_urls.first().cloned(),
            api_urls,
            database_url: session.database_url.clone(),
            operator_database_url: session.operator_database_url.clone(),
            amqp_url: session.amqp_url.clone(),
            management_url: session.management.as_ref().map(|management| management.url.clone()),
            mail_url: None,
            pids: Pids {
                producer_api: pids(Program::ProducerApi),
                audit_consumer: pids(Program::AuditConsumer),
                scheduler: pids(Program::Scheduler),
                postgres: server(POSTGRES),
                rabbitmq: server(RABBITMQ),
            },
            health_urls: HealthUrls {
                producer_api: health(Program::ProducerApi),
                audit_consumer: health(Program::AuditConsumer),
                scheduler: health(Program::Scheduler),
            },
        }
    }
}

fn show(console: &Console, state: Option<&State>) {
    let Some(state) = state else {
        console.line("There is no stack here yet. Start one: cargo xtask up");
        return;
    };
    let Some(session) = &state.session else {
        console.line("Nothing runs; the data is kept. Start: cargo xtask up");
        return;
    };
    let row = |name: &str, pid: &str, colour, condition: &str, place: &str| {
        let condition = console.paint(colour, format_args!("{condition:<9}"));
        console.line(format_args!("{name:<18} {pid:>8}  {condition}  {place}"));
    };
    row("INSTANCE", "PID", Colour::Bold, "STATE", "URL");
    for instance in &session.instances {
        let pid = instance.alive().map(|process| process.pid.to_string());
        let (colour, condition) = match &pid {
            Some(_) if http::is_ok(&instance.readiness_url()) => (Colour::Green, "ready"),
            Some(_) => (Colour::Yellow, "not ready"),
            None => (Colour::Red, "dead"),
        };
        row(&instance.name, pid.as_deref().unwrap_or("-"), colour, condition, &instance.url());
    }
    let management = session.management.as_ref().map(|management| &management.url);
    for (name, setting, place) in
        [(POSTGRES, "DATABASE_URL", session.database_url.as_ref()), (RABBITMQ, "AMQP_URL", management)]
    {
        let pid = server_in(&state.servers.join(name)).map(|server| server.pid.to_string());
        let (colour, condition) = match &pid {
            Some(_) => (Colour::Green, "runs"),
            None if session.settings.has_any(&[setting]) => (Colour::Faint, "given"),
            None => (Colour::Red, "dead"),
        };
        row(name, pid.as_deref().unwrap_or("-"), colour, condition, place.map_or("", String::as_str));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{
        super::{settings::Settings, state::Session},
        *,
    };
    use crate::process::ProcessIdentity;

    #[test]
    fn without_a_stack_everything_is_null_or_empty() {
        let nothing = json!({
            "api_url": null, "api_urls": [], "database_url": null, "operator_database_url": null, "amqp_url": null,
            "management_url": null, "mail_url": null,
            "pids": { "producer-api": [], "audit-consumer": [], "scheduler": [], "postgres": [], "rabbitmq": [] },
            "health_urls": { "producer-api": [], "audit-consumer": [], "scheduler": [] },
        });
        assert_eq!(serde_json::to_value(Report::of(None)).unwrap(), nothing);
        let stopped = State::new(Path::new("/nowhere")).unwrap();
        assert_eq!(serde_json::to_value(Report::of(Some(&stopped))).unwrap(), nothing);
    }

    #[test]
    fn a_living_replica_is_listed_and_a_dead_one_is_not() {
        let this = ProcessIdentity::of(std::process::id()).unwrap();
        let reused = ProcessIdentity { started: this.started + 1, ..this };
        let replica = |number: u16, process| Instance {
            program: Program::ProducerApi,
            name: format!("producer-api-{number}"),
            port: 8000 + number,
            process: Some(process),
        };
        let mut session = Session::new(Settings::default()).unwrap();
        session.instances = vec![replica(1, reused), replica(2, this)];
        let mut state = State::new(Path::new("/nowhere")).unwrap();
        state.session = Some(session);
        let report = serde_json::to_value(Report::of(Some(&state))).unwrap();
        assert_eq!(report["pids"]["producer-api"], json!([this.pid]));
        assert_eq!(report["api_url"], "http://127.0.0.1:8002");
        assert_eq!(report["health_urls"]["producer-api"], json!(["http://127.0.0.1:8002/readyz"]));
    }
}
