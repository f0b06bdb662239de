//! `cargo xtask up`: starts what is missing, in order, and undoes it if that fails.

use std::collections::BTreeMap;

use anyhow::Context as _;

use super::{
    database, demo, down,
    follow::Follower,
    layout::Layout,
    lock::StackLock,
    panel::panel,
    programs::{self, Program, Started},
    servers::{self, Servers},
    settings::Settings,
    state::{Instance, Session, State},
    topology,
};
use crate::{
    console::{Colour, Console},
    interrupt,
    process::Process,
    servers::{free_port, is_free},
};

const SETTINGS_HELP: &str = "\
Settings in the environment reach the programs. DATABASE_URL and AMQP_URL (with MANAGEMENT_URL) name servers
that you have; otherwise both are started on free loopback ports, and installed with apt first where that is
allowed. On a running stack `up` starts what is missing, with the settings of the first `up`.";

/// What `cargo xtask up` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = SETTINGS_HELP)]
pub struct UpArguments {
    /// Leave everything running in the background instead of following the logs
    #[arg(long)]
    detach: bool,
    /// How many of each program [default: 1, or as many as run]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=50))]
    replicas: Option<u16>,
    /// Stop what runs, delete the data, and begin anew
    #[arg(long)]
    fresh: bool,
}

/// Starts the whole system, or what is missing of it.
pub fn up(console: &Console, arguments: &UpArguments) -> anyhow::Result<()> {
    let layout = Layout::find()?;
    let lock = StackLock::take(&layout, console)?;
    if arguments.fresh {
        down::delete_everything(console, &layout)?;
    }
    let mut start = Start::begin(console, &layout, arguments)?;
    let follower = Follower::new(console, &layout, &start.session.id);
    if let Err(error) = start.run() {
        start.undo(&error, arguments.detach);
        return Err(error);
    }
    let stop = if arguments.detach {
        "cargo xtask down  (the data is kept)"
    } else {
        "Ctrl-C here, or cargo xtask down elsewhere  (the data is kept)"
    };
    let heading = |text: &str| console.paint(Colour::Bold, text);
    console.line(panel(&layout, &start.state, &start.session, heading, stop));
    let started = start.finish();
    drop(lock);
    if arguments.detach { Ok(()) } else { follower.follow_until_stopped(started) }
}

/// An `up` in progress: what was found, and what it has started so far.
struct Start<'a> {
    console: &'a Console,
    layout: &'a Layout,
    state: State,
    session: Session,
    /// True if there was no session to join.
    first: bool,
    servers: Option<Servers>,
    started: Vec<Started>,
}

impl<'a> Start<'a> {
    /// Joins the running session or opens one.
    fn begin(console: &'a Console, layout: &'a Layout, arguments: &UpArguments) -> anyhow::Result<Self> {
        let caller = Settings::of_the_caller();
        let remembered = State::load(layout)?;
        let joined = remembered.as_ref().and_then(|state| state.session.clone());
        let first = joined.is_none();
        let mut session = match joined {
            Some(session) => {
                tell_ignored_settings(console, &session, &caller);
                session
            }
            None => Session::new(caller)?,
        };
        session.stopping = false;
        let wanted = arguments.replicas.map_or(session.replicas, usize::from);
        if wanted < session.replicas {
            console
                .warn(format_args!("{} of each run; cargo xtask down first to have fewer", session.replicas));
        }
        session.replicas = session.replicas.max(wanted);
        // The packages make the users that must reach the folder.
        servers::ensure_binaries(console, &session)?;
        let state = match remembered {
            Some(state) => state,
            None => State::new(&layout.servers()?)?,
        };
        if !state.servers.starts_with(&layout.root) {
            console.warn(format_args!(
                "the servers' data lies in {}, which they can reach",
                state.servers.display()
            ));
        }
        Ok(Self { console, layout, state, session, first, servers: None, started: Vec::new() })
    }

    fn run(&mut self) -> anyhow::Result<()> {
        // Before anything starts: should this command be killed, `down` finds what there is.
        self.save()?;
        let servers = servers::start(self.console, self.layout, &self.state.servers, &mut self.session)?;
        let own_database = servers.own_database();
        self.servers = Some(servers);
        self.save()?;
        let missing = self.missing()?;
        if !missing.is_empty() {
            database::prepare(self.console, self.layout, &self.state, &mut self.session, own_database)?;
            topology::prepare(self.console, self.layout, &self.state, &self.session)?;
            self.start_programs(missing)?;
        }
        let late = programs::wait_for_the_others(&self.session.instances)?;
        if !late.is_empty() {
            self.console.warn(format_args!("not ready yet, see cargo xtask logs: {}", late.join(", ")));
        }
        self.make_demo_accounts();
        self.save()?;
        Ok(interrupt::check()?)
    }

    /// The replicas that don't run, each with a port.
    fn missing(&mut self) -> anyhow::Result<Vec<Instance>> {
        let mut missing = Vec::new();
        for program in Program::ALL {
            for number in 1..=self.session.replicas {
                let name = format!("{}-{number}", program.name());
                let known = self.session.instances.iter().find(|instance| instance.name == name);
                if known.is_some_and(|instance| instance.alive().is_some()) {
                    continue;
                }
                let before = known.map(|instance| instance.port);
                let wish = before.or((number == 1).then(|| program.preferred_port()));
                let taken = |port| missing.iter().any(|instance: &Instance| instance.port == port);
                let port = match wish.filter(|&port| is_free(port) && !taken(port)) {
                    Some(port) => port,
                    None => free_port()?,
                };
                if let Some(wish) = wish.filter(|&wish| wish != port) {
                    self.console.warn(format_args!("port {wish} is taken; {name} listens on {port}"));
                }
                missing.push(Instance { program, name, port, process: None });
            }
        }
        Ok(missing)
    }

    fn start_programs(&mut self, missing: Vec<Instance>) -> anyhow::Result<()> {
        let names: Vec<&str> = missing.iter().map(|instance| instance.name.as_str()).collect();
        self.console.step(format_args!("starting {}", names.join(", ")));
        for instance in missing {
            interrupt::check()?;
            let started = programs::spawn(self.layout, &self.state, &self.session, instance)?;
            self.session.remember(started.instance.clone());
            self.started.push(started);
            self.save()?;
        }
        programs::wait_until_ready(self.layout, &mut self.started)
    }

    /// Once for each database. That they are missing hinders nobody from using the rest.
    fn make_demo_accounts(&mut self) {
        let api = self.session.instances.iter().find(|instance| instance.program == Program::ProducerApi);
        let Some(api) = api.map(Instance::url).filter(|api| demo::are_allowed(&self.session, api)) else {
            return;
        };
        if self.state.has_demo_accounts(&self.session) {
            return;
        }
        self.console.step("making the demo accounts");
        match demo::make(self.layout, &self.state, &self.session, &api) {
            Ok(()) => self.state.note_demo_accounts(&self.session),
            Err(error) => self.console.warn(format_args!("the demo accounts aren't made: {error:#}")),
        }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.state.session = Some(self.session.clone());
        self.state.save(self.layout)
    }

    /// Stops what this command started. An attached `up` that is interrupted stops the whole stack, as it would later.
    fn undo(mut self, error: &anyhow::Error, detach: bool) {
        let interrupted = interrupt::is_interrupted(error);
        self.console.step(if interrupted {
            "interrupted; stopping again"
        } else {
            "failed; stopping what was started"
        });
        let all = interrupted && !detach;
        down::stop_instances(self.started.iter().map(|started| &started.instance));
        if let Some(servers) = self.servers.take() {
            servers.undo();
        }
        let outcome = if all {
            down::stop_everything(self.console, self.layout)
        } else {
            self.state.session = (!self.first).then_some(self.session);
            self.state.save(self.layout)
        };
        if let Err(error) = outcome.context("while stopping again") {
            self.console.fail(&error);
        }
    }

    /// Leaves everything running, and gives the processes that this command started, by name.
    fn finish(self) -> BTreeMap<String, Process> {
        let servers = self.servers.map(Servers::detach).unwrap_or_default();
        let servers = servers.into_iter().map(|(name, process)| (name.to_owned(), process));
        let programs = self.started.into_iter().map(|started| (started.instance.name, started.process));
        servers.chain(programs).collect()
    }
}

impl Session {
    fn remember(&mut self, instance: Instance) {
        match self.instances.iter_mut().find(|known| known.name == instance.name) {
            Some(known) => *known = instance,
            None => self.instances.push(instance),
        }
    }
}

fn tell_ignored_settings(console: &Console, session: &Session, caller: &Settings) {
    let differing = session.settings.differing(caller);
    if !differing.is_empty() {
        console.warn(format_args!(
            "the stack keeps the settings of its first up until cargo xtask down; now different: {}",
            differing.join(", ")
        ));
    }
}
