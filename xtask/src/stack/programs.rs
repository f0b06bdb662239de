//! The three programs as processes: their commands, environment, logs and readiness.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    layout::Layout,
    state::{Instance, Session, State},
};
use crate::{
    exit::{self, WrongSetting},
    http, interrupt,
    process::{self, Exit, Process, last_lines_since},
    wait,
};

/// How long the programs may take until they are ready.
const READY_SECONDS_MAX: Duration = Duration::from_mins(1);

/// One of Warren's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Program {
    ProducerApi,
    AuditConsumer,
    Scheduler,
}

impl Program {
    pub(super) const ALL: [Self; 3] = [Self::ProducerApi, Self::AuditConsumer, Self::Scheduler];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ProducerApi => "producer-api",
            Self::AuditConsumer => "audit-consumer",
            Self::Scheduler => "scheduler",
        }
    }

    /// The port of the first replica if it is free.
    pub(super) fn preferred_port(self) -> u16 {
        match self {
            Self::ProducerApi => 8000,
            Self::AuditConsumer => 8001,
            Self::Scheduler => 8002,
        }
    }

    /// Its login at both servers, where they are ours.
    pub(super) fn role(self) -> String {
        format!("warren_{}", self.name().replace('-', "_"))
    }

    /// The setting that gives this login a password, such as `SCHEDULER_DB_PASSWORD`.
    pub(super) fn password_setting(self, server: &str) -> String {
        format!("{}_{server}_PASSWORD", self.name().to_uppercase().replace('-', "_"))
    }

    fn verb(self) -> &'static str {
        match self {
            Self::ProducerApi => "serve",
            Self::AuditConsumer | Self::Scheduler => "run",
        }
    }
}

/// A command of a program with the environment that all of them get: the caller's settings, and ours where the
/// caller has none. At servers of ours it logs in as itself.
pub(super) fn command(layout: &Layout, state: &State, session: &Session, program: Program) -> Command {
    let mut command = Command::new(layout.program(program.name()));
    command.current_dir(&layout.root).env_clear();
    for name in ["PATH", "HOME", "USER"] {
        command.envs(env::var_os(name).map(|value| (name, value)));
    }
    command.env("LOG_FORMAT", "text").envs(session.settings.iter());
    let given = |name: &str| session.settings.has_any(&[name]);
    let as_itself =
        |url: &Option<String>| with_login(url.as_deref()?, &program.role(), state.password_of(program));
    if let Some(url) = as_itself(&session.database_url).filter(|_| !given("DATABASE_URL")) {
        command.env("DATABASE_URL", url);
    }
    if !given("AMQP_URL") {
        // A caller who says who declares the topology has his reasons, and gets the login that may.
        let url = if given("RABBITMQ_TOPOLOGY") {
            session.amqp_url.clone()
        } else {
            command.env("RABBITMQ_TOPOLOGY", "expect");
            as_itself(&session.amqp_url)
        };
        command.envs(url.map(|url| ("AMQP_URL", url)));
    }
    if !session.settings.has_any(&["SIGNING_KEY", "JWT_SECRET_KEY", "SECRET_KEY"]) {
        command.env("SIGNING_KEY", &state.signing_key);
    }
    if session.keeps_mail() {
        command.env("EMAIL_BACKEND", "file").env("EMAIL_FILE_PATH", layout.mail());
        // What goes to a folder bothers nobody: whoever tries the system out may make any number of accounts.
        if !given("MAIL_REQUESTS_PER_ADDRESS") {
            command.env("MAIL_REQUESTS_PER_ADDRESS", "0");
        }
    }
    let api = session.instances.iter().find(|instance| instance.program == Program::ProducerApi);
    if let Some(api) = api.filter(|_| !given("PUBLIC_URL")) {
        command.env("PUBLIC_URL", api.url());
    }
    command
}

/// Runs a command of producer-api to its good end, with this beside its usual environment.
pub(super) fn run(
    layout: &Layout,
    state: &State,
    session: &Session,
    arguments: &[&str],
    environment: &[(String, &str)],
) -> anyhow::Result<()> {
    let mut command = command(layout, state, session, Program::ProducerApi);
    command.args(arguments).envs(environment.iter().map(|(name, value)| (name, value)));
    let shown = || format!("producer-api {}", arguments.join(" "));
    let (status, output) = process::run_to_string(&mut command).with_context(shown)?;
    ensure!(status.success(), "{} failed ({status}):\n{output}", shown());
    Ok(())
}

/// `url` with another login.
pub(super) fn with_login(url: &str, user: &str, password: &str) -> Option<String> {
    let mut url = Url::parse(url).ok()?;
    url.set_username(user).ok()?;
    url.set_password(Some(password)).ok()?;
    Some(url.into())
}

/// A replica that this command has started.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) instance: Instance,
    pub(super) process: Process,
    log: PathBuf,
    /// The log's length before.
    log_start: u64,
}

impl Started {
    fn last_lines(&self, count: usize) -> String {
        last_lines_since(&self.log, self.log_start, count).join("\n")
    }
}

/// Starts a replica, its output appended to its log.
pub(super) fn spawn(
    layout: &Layout,
    state: &State,
    session: &Session,
    instance: Instance,
) -> anyhow::Result<Started> {
    let log_file = layout.log_of(&instance.name);
    let log = open_log(&log_file)?;
    let log_start = log.metadata().context("can't measure a program's log")?.len();
    let log_too = log.try_clone().context("can't share a program's log")?;
    let mut command = command(layout, state, session, instance.program);
    command
        .arg(instance.program.verb())
        .env("LISTEN_ADDRESS", format!("127.0.0.1:{}", instance.port))
        .env("INSTANCE_NAME", &instance.name)
        .stdout(log)
        .stderr(log_too);
    let process = Process::spawn(&mut command)?;
    let instance = Instance { process: Some(process.identity()), ..instance };
    Ok(Started { instance, process, log: log_file, log_start })
}

/// Waits until each of these replicas, just started, is ready; fails as soon as one of them ends.
pub(super) fn wait_until_ready(layout: &Layout, started: &mut [Started]) -> anyhow::Result<()> {
    let mut next = 0;
    let mut ended = false;
    let waited = wait::until(READY_SECONDS_MAX, "the programs to become ready", || {
        for replica in started.iter_mut() {
            if let Some(exit) = replica.process.exit() {
                ended = true;
                return Err(ended_early(layout, replica, exit));
            }
        }
        while started.get(next).is_some_and(|replica| http::is_ok(&replica.instance.readiness_url())) {
            next += 1;
        }
        Ok((next == started.len()).then_some(()))
    });
    match (waited, started.get(next)) {
        (Err(error), Some(replica)) if !ended && !interrupt::is_interrupted(&error) => {
            let log = replica.last_lines(5);
            Err(error.context(format!("{} isn't ready; its log ends with:\n{log}\n", replica.instance.name)))
        }
        (waited, _) => waited,
    }
}

/// Waits for replicas that ran before; those that have lost a server need a moment to find it again. Gives the names of
/// those that don't become ready.
pub(super) fn wait_for_the_others(instances: &[Instance]) -> anyhow::Result<Vec<String>> {
    let mut waiting: Vec<&Instance> =
        instances.iter().filter(|instance| instance.alive().is_some()).collect();
    let waited = wait::until(READY_SECONDS_MAX, "the programs to become ready", || {
        waiting.retain(|instance| instance.alive().is_some() && !http::is_ok(&instance.readiness_url()));
        Ok(waiting.is_empty().then_some(()))
    });
    match waited {
        Err(error) if interrupt::is_interrupted(&error) => Err(error),
        _ => Ok(waiting.into_iter().map(|instance| instance.name.clone()).collect()),
    }
}

fn ended_early(layout: &Layout, replica: &Started, exit: Exit) -> anyhow::Error {
    let message = format!(
        "{} didn't start ({}); {} ends with:\n{}",
        replica.instance.name,
        exit.in_words(),
        layout.shown(&replica.log),
        replica.last_lines(20)
    );
    // The programs say so when a setting is wrong, and list all that are.
    if exit.code() == Some(exit::WRONG_USAGE.into()) {
        WrongSetting(message).into()
    } else {
        anyhow!(message)
    }
}

fn open_log(file: &Path) -> anyhow::Result<File> {
    const BYTES_MAX: u64 = 16 * 1024 * 1024;
    let open = || -> std::io::Result<File> {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        if fs::metadata(file).is_ok_and(|metadata| metadata.len() > BYTES_MAX) {
            fs::rename(file, file.with_extension("log.old"))?;
        }
        File::options().create(true).append(true).open(file)
    };
    open().with_context(|| format!("can't open {}", file.display()))
}
