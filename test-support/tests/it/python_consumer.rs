//! The example of `docs/ADDING-A-CONSUMER.md`: what the page promises of a program hung on `auth.events` holds for the
//! one that it shows, in Python.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use lapin::BasicProperties;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use shared::broker::topology::AUDIT_QUEUE;
use tempfile::TempDir;
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase, environment, eventually};
use url::Url;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/python-consumer");
const EXCHANGE: &str = "auth.events";
const KEY: &str = "auth.user.registered";
const DEADLINE: Duration = Duration::from_mins(1);

/// Prints the table, oldest first.
const ROWS: &str = "import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('SELECT event_id, user_id, username FROM welcomes ORDER BY user_id')
print(json.dumps(rows.fetchall()))";

/// The example, running.
struct Example {
    child: Child,
    folder: TempDir,
}

impl Example {
    /// Starts it and waits until its queue is bound.
    async fn start(amqp_url: &str, folder: TempDir) -> Self {
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = python()
            .arg(Path::new(FOLDER).join("welcome_consumer.py"))
            .env("AMQP_URL", amqp_url)
            .env("WELCOME_DATABASE", database(&folder))
            .stdin(Stdio::null())
            .stdout(file("output"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        let mut example = Self { child, folder };
        eventually(DEADLINE, "the example to read its queue", async || {
            assert_eq!(example.child.try_wait().unwrap(), None, "the example ended");
            example.read("output").contains("reading welcome.registrations").then_some(())
        })
        .await;
        example
    }

    /// The rows of its table, once there are so many.
    async fn welcomes(&self, count: usize) -> Vec<Value> {
        eventually(DEADLINE, format!("{count} rows of the example"), async || {
            let output = python().args(["-c", ROWS]).arg(database(&self.folder)).output().unwrap();
            let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
            (rows.len() >= count).then_some(rows)
        })
        .await
    }

    async fn end(mut self, signal: Signal) -> (ExitStatus, TempDir) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
        let status =
            eventually(DEADLINE, "the example to end", async || self.child.try_wait().unwrap()).await;
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (status, folder)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Example {
    #[expect(clippy::print_stderr, reason = "a failing test shows what the example wrote")]
    fn drop(&mut self) {
        // It may have ended by itself meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what the example wrote ---\n{}\n---", self.read("log"));
        }
    }
}

fn python() -> Command {
    let mut command = Command::new(environment::python());
    command.env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join("welcome.sqlite3")
}

/// The broker's users, of which the example gets one with the rights that the page names. On a server of the run's own.
struct Team {
    users: Url,
    amqp_url: String,
}

impl Team {
    async fn create(broker: &TestBroker) -> Self {
        let management = Url::parse(&environment::management_url()).unwrap();
        let name = broker.virtual_host();
        let user = management.join(&format!("api/users/{name}")).unwrap();
        let rights = management.join(&format!("api/permissions/{name}/{name}")).unwrap();
        put(&user, &json!({ "password": "of the team", "tags": "" })).await;
        let ours = r"^welcome\.";
        put(&rights, &json!({ "configure": ours, "write": ours, "read": r"^(welcome\.|auth\.events$)" }))
            .await;
        let mut amqp_url = Url::parse(broker.amqp_url()).unwrap();
        amqp_url.set_username(name).unwrap();
        amqp_url.set_password(Some("of the team")).unwrap();
        Self { users: user, amqp_url: amqp_url.to_string() }
    }

    async fn delete(self) {
        let answer = reqwest::Client::new().delete(self.users).send().await.unwrap();
        assert!(answer.status().is_success());
    }
}

async fn put(url: &Url, document: &Value) {
    let answer = reqwest::Client::new().put(url.clone()).json(document).send().await.unwrap();
    assert!(answer.status().is_success(), "{} to PUT {}", answer.status(), url.path());
}

// Red without the key of the example's table, its acknowledgement, its rejecting or its reconnecting.
#[tokio::test]
async fn who_registers_is_welcomed_once_however_often_the_event_comes_and_whether_or_not_the_example_runs() {
    let (data, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let api = Program::producer_api(&data, &broker).start().await;
    let team = Team::create(&broker).await;
    let example = Example::start(&team.amqp_url, tempfile::tempdir().unwrap()).await;

    let ada = api.client().register("ada").await.expect(201).body["id"].clone();
    let rows = example.welcomes(1).await;
    let told = eventually(DEADLINE, "the audit queue's copy", async || broker.take(AUDIT_QUEUE).await).await;
    assert_eq!(rows, [json!([told.message_id(), ada, "ada"])]);

    // Again, byte for byte, as after a crash of the relay; then what it must set aside; then somebody else.
    broker.publish_raw(EXCHANGE, KEY, told.properties.clone(), &told.body).await;
    let newer = String::from_utf8(told.body.clone()).unwrap().replace("/v1\"", "/v2\"");
    for unreadable in ["no JSON", "[]", "{}", r#"{"dataschema": 7, "data": null}"#, &newer] {
        broker.publish_raw(EXCHANGE, KEY, BasicProperties::default(), unreadable.as_bytes()).await;
    }
    let bea = api.client().register("bea").await.expect(201).body["id"].clone();
    let rows = example.welcomes(2).await;
    assert_eq!(rows.iter().map(|row| &row[1]).collect::<Vec<_>>(), [&ada, &bea]);
    let dead = || async { (broker.queue_depth("welcome.dead").await == 5).then_some(()) };
    eventually(DEADLINE, "five dead letters", dead).await;

    let (status, folder) = example.end(Signal::SIGTERM).await;
    assert_eq!(status.code(), Some(0));
    // What was not acknowledged is back by now.
    let empty = || async { (broker.queue_depth("welcome.registrations").await == 0).then_some(()) };
    eventually(DEADLINE, "all to have been acknowledged", empty).await;
    let cleo = api.client().register("cleo").await.expect(201).body["id"].clone();
    let waits = || async { (broker.queue_depth("welcome.registrations").await == 1).then_some(()) };
    eventually(DEADLINE, "the event to wait in the queue", waits).await;
    let example = Example::start(&team.amqp_url, folder).await;
    assert_eq!(example.welcomes(3).await[2][1], cleo);

    // Killed, and what it had done comes again.
    let (_, folder) = example.end(Signal::SIGKILL).await;
    broker.publish_raw(EXCHANGE, KEY, told.properties, &told.body).await;
    let example = Example::start(&team.amqp_url, folder).await;
    let cut = || async { (broker.close_connections("welcome").await > 0).then_some(()) };
    eventually(DEADLINE, "the example's connection to be cut", cut).await;
    api.client().register("dora").await.expect(201);
    assert_eq!(example.welcomes(4).await.len(), 4);
    assert_eq!(example.end(Signal::SIGINT).await.0.code(), Some(0));
    team.delete().await;
}

// Red if the example's dependencies go ahead without those that the test runs it with.
#[test]
fn the_example_asks_for_what_it_is_tested_with() {
    let tested = concat!(env!("CARGO_MANIFEST_DIR"), "/python/requirements.txt");
    let tested = std::fs::read_to_string(tested).unwrap();
    let asked = std::fs::read_to_string(Path::new(FOLDER).join("requirements.txt")).unwrap();
    assert!(!asked.trim().is_empty());
    for line in asked.lines() {
        assert!(tested.lines().any(|tested| tested == line), "{line} is not in python/requirements.txt");
    }
}
