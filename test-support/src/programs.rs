//! The real programs, started as an operator starts them: by command line and environment.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use shared::role::Role;
use tempfile::TempDir;

use crate::api::{Client, try_send};
use crate::{TestBroker, TestDatabase, environment, eventually};

/// How long a program may take to be ready; migrations and servers are there already.
const READY_DEADLINE: Duration = Duration::from_mins(2);
/// How long a program may take to end.
const END_DEADLINE: Duration = Duration::from_mins(2);
/// How much of its log a failing test shows.
const LOG_LINES_SHOWN: usize = 40;
/// The key that signs the tests' tokens.
pub const SIGNING_KEY: &str = "a key that signs the tokens of tests and of nothing else";

/// What to start, and how.
#[derive(Debug, Clone)]
pub struct Program {
    name: &'static str,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    input: Option<String>,
}

/// How a program ended that was run to its end.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error, its log included.
    pub log: String,
}

impl Program {
    /// A program without any settings.
    pub fn named(name: &'static str) -> Self {
        let program = Self { name, arguments: Vec::new(), environment: BTreeMap::new(), input: None };
        program.env("LOG_FORMAT", "text")
    }

    /// The HTTP API over a database and a broker.
    pub fn producer_api(database: &TestDatabase, broker: &TestBroker) -> Self {
        Self::named("producer-api").over(database, Role::ProducerApi, broker).env("SIGNING_KEY", SIGNING_KEY)
    }

    /// The audit consumer over a database and a broker.
    pub fn audit_consumer(database: &TestDatabase, broker: &TestBroker) -> Self {
        Self::named("audit-consumer").over(database, Role::AuditConsumer, broker)
    }

    /// The scheduler over a database and a broker.
    pub fn scheduler(database: &TestDatabase, broker: &TestBroker) -> Self {
        Self::scheduler_named("scheduler", database, broker)
    }

    /// The scheduler with the jobs of the fault suite, an example of that crate.
    pub fn suite_scheduler(database: &TestDatabase, broker: &TestBroker) -> Self {
        Self::scheduler_named("examples/suite-scheduler", database, broker)
    }

    fn scheduler_named(name: &'static str, database: &TestDatabase, broker: &TestBroker) -> Self {
        // No mail leaves a test that has no mail server of its own: nobody listens on this port.
        let scheduler = Self::named(name).over(database, Role::Scheduler, broker);
        scheduler.env("EMAIL_HOST", "127.0.0.1").env("EMAIL_PORT", "1")
    }

    /// Each program has its own role in the database, as in life: so every test shows that its rights suffice.
    fn over(self, database: &TestDatabase, role: Role, broker: &TestBroker) -> Self {
        self.env("DATABASE_URL", &database.url_as(role)).env("AMQP_URL", broker.amqp_url())
    }

    /// With its own user at the broker, too, once [`TestBroker::apply_topology`] has made it: it declares nothing.
    #[must_use]
    pub fn as_user_of(self, broker: &TestBroker, role: Role) -> Self {
        self.env("AMQP_URL", &broker.amqp_url_as(role)).env("RABBITMQ_TOPOLOGY", "expect")
    }

    /// Sets a variable of its environment, which holds nothing else but `PATH`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Gives it this on standard input, which is else empty.
    #[must_use]
    pub fn input(mut self, input: &str) -> Self {
        self.input = Some(input.to_owned());
        self
    }

    /// Starts it on a free port and waits until `/readyz` says that it does its work.
    pub async fn start(self) -> RunningProgram {
        let mut program = self.spawn();
        program.wait_until_ready().await;
        program
    }

    /// Starts it on a free port without waiting for anything.
    pub fn spawn(mut self) -> RunningProgram {
        let port = xtask::servers::free_port().expect("a free port");
        let address = self.environment.entry("LISTEN_ADDRESS".to_owned());
        let address = address.or_insert_with(|| format!("127.0.0.1:{port}")).clone();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut program = RunningProgram { program: self, address, folder, child: None };
        program.launch();
        program
    }

    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        let mut program = self.spawn();
        let status = program.ended().await;
        Ended { code: status.code(), output: program.output(), log: program.log() }
    }

    fn command(&self) -> Command {
        let file = environment::programs_folder().join(self.name);
        assert!(file.exists(), "{} is not built: run `cargo xtask test`", file.display());
        let mut command = Command::new(file);
        command.args(&self.arguments).stdin(Stdio::null()).env_clear().envs(&self.environment);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }
}

/// A started program. It is killed when this is dropped; if the test is failing, the end of its log is shown.
#[derive(Debug)]
pub struct RunningProgram {
    program: Program,
    address: String,
    folder: TempDir,
    child: Option<Child>,
}

impl RunningProgram {
    /// Where it listens, as `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.url())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the program runs").id()
    }

    /// Its process id, unless it has been killed or has ended.
    pub fn running_pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Whether it has ended by itself, or was killed.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().expect("its status").is_some())
    }

    /// What it wrote to standard error so far: its log.
    pub fn log(&self) -> String {
        self.read("log")
    }

    /// What it wrote to standard output so far.
    pub fn output(&self) -> String {
        self.read("output")
    }

    /// Waits until `/readyz` answers 200. Fails the test if the program ends before.
    pub async fn wait_until_ready(&mut self) {
        let client = self.client();
        let name = self.program.name;
        eventually(READY_DEADLINE, format!("{name} to be ready"), async || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().expect("its status"))
            {
                panic!("{name} ended before it was ready: {status}\n{}", self.log());
            }
            let answer = try_send(client.request(reqwest::Method::GET, "/readyz")).await;
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        })
        .await;
    }

    /// SIGKILL: it gets no chance to finish anything.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the program can be killed");
            child.wait().expect("a killed program ends");
        }
    }

    /// SIGTERM: waits until it has ended in order, and says how.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.ended().await
    }

    /// SIGTERM, without waiting.
    pub fn ask_to_stop(&self) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("the program can be signalled");
    }

    /// SIGSTOP: it stands still, with all its connections open, until [`RunningProgram::go_on`].
    pub fn stand_still(&self) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("the program can be signalled");
    }

    /// SIGCONT: it goes on as if nothing had happened.
    pub fn go_on(&self) {
        let pid = i32::try_from(self.pid()).expect("a process id");
        kill(Pid::from_raw(pid), Signal::SIGCONT).expect("the program can be signalled");
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let name = self.program.name;
        let child = self.child.as_mut().expect("the program runs");
        let status = eventually(END_DEADLINE, format!("{name} to end"), async || {
            child.try_wait().expect("its status")
        })
        .await;
        self.child = None;
        status
    }

    /// Starts it again on the same port, killing it first if it runs, and waits until it is ready.
    pub async fn restart(&mut self) {
        self.start_again();
        self.wait_until_ready().await;
    }

    /// Starts it again on the same port, killing it first if it runs, without waiting for anything.
    pub fn start_again(&mut self) {
        self.kill();
        self.launch();
    }

    fn launch(&mut self) {
        let open = |name: &str| {
            let file = File::options().create(true).append(true).open(self.path(name));
            file.expect("a log file")
        };
        let mut command = self.program.command();
        if let Some(input) = &self.program.input {
            std::fs::write(self.path("input"), input).expect("a file of what is on standard input");
            command.stdin(File::open(self.path("input")).expect("that file"));
        }
        command.env("LISTEN_ADDRESS", &self.address).stdout(open("output")).stderr(open("log"));
        self.child = Some(command.spawn().expect("the program can be started"));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
            eprintln!("--- the end of the log of {} ---\n{}\n---", self.program.name, shown.join("\n"));
        }
    }
}
