//! The example of `docs/FOREIGN-WORKERS.md`: what the page promises a team whose program does jobs holds for the one that it shows,
//! in Python, over the real programs and with no more rights than the page gives it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::BrokerConfig;
use shared::role::Role;
use sqlx::types::Uuid;
use tempfile::TempDir;
use test_support::programs::Program;
use test_support::world::World;
use test_support::{TestBroker, TestDatabase, environment, eventually, settled};
use url::Url;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/foreign-worker");
const DEADLINE: Duration = Duration::from_mins(1);
/// A lease runs out after half a minute, and the next attempt waits some seconds more.
const TAKEN_OVER: Duration = Duration::from_mins(3);

/// The example, running.
struct Example {
    child: Child,
    folder: TempDir,
}

impl Example {
    /// Starts it and waits until its queue is bound.
    async fn start(amqp_url: &str, work_seconds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(folder.path().join(name)).unwrap();
        let mut command = Command::new(environment::python());
        command.env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        let child = command
            .arg(Path::new(FOLDER).join("worker.py"))
            .env("AMQP_URL", amqp_url)
            .env("WORK_SECONDS", work_seconds)
            .stdin(Stdio::null())
            .stdout(file("output"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        let mut example = Self { child, folder };
        example.says("reading sales.ticks").await;
        example
    }

    async fn says(&mut self, words: &str) {
        eventually(DEADLINE, format!("the example to say {words:?}"), async || {
            assert_eq!(self.child.try_wait().unwrap(), None, "the example ended");
            self.read("output").contains(words).then_some(())
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    async fn ended(&mut self) -> Option<i32> {
        let status =
            eventually(DEADLINE, "the example to end", async || self.child.try_wait().unwrap()).await;
        status.code()
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

/// Makes the user `sales`, and its queue and rights by the example's document; gives its URL. On a server of the run's own.
async fn team(broker: &TestBroker) -> String {
    let name = format!("sales_{}", broker.virtual_host());
    let done = async |method: Method, path: &str, document: Value| {
        let status = broker.manage(method, path, &document).await;
        assert!((200..300).contains(&status), "{status} to {path}");
    };
    done(Method::PUT, &format!("api/users/{name}"), json!({ "password": "of the team", "tags": "" })).await;
    let definitions = std::fs::read_to_string(Path::new(FOLDER).join("definitions.json")).unwrap();
    let definitions = definitions
        .replace(r#""vhost": "warren""#, &format!(r#""vhost": "{}""#, broker.virtual_host()))
        .replace(r#""user": "sales""#, &format!(r#""user": "{name}""#));
    done(Method::POST, "api/definitions", serde_json::from_str(&definitions).unwrap()).await;
    let mut amqp_url = Url::parse(broker.amqp_url()).unwrap();
    amqp_url.set_username(&name).unwrap();
    amqp_url.set_password(Some("of the team")).unwrap();
    amqp_url.to_string()
}

async fn dismiss(broker: &TestBroker) {
    let path = format!("api/users/sales_{}", broker.virtual_host());
    assert!(broker.manage(Method::DELETE, &path, &json!({})).await < 300);
}

/// One of the commands, which goes well; gives its object.
async fn schedules(database: &TestDatabase, words: &[&str]) -> Value {
    let program = Program::named("scheduler").env("DATABASE_URL", &database.url_as(Role::Scheduler));
    let program = ["schedules"].iter().chain(words).fold(program, |program, word| program.arg(word));
    let ended = program.arg("--reason").arg("the sales team wants it").arg("--json").run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    serde_json::from_str(&ended.output).unwrap()
}

async fn add(database: &TestDatabase, key: &str, args: &str) {
    let line = ["--job", "report", "--queue", "sales", "--timetable", "at 2020-05-04 09:00", "--args", args];
    let words: Vec<&str> = ["add", key].into_iter().chain(line).collect();
    assert_eq!(schedules(database, &words).await["outcome"], "added");
}

/// A run's id, state, attempt, worker and output, once it is in `state`.
async fn run_in(
    database: &TestDatabase,
    (key, state): (&'static str, &'static str),
    deadline: Duration,
) -> (Uuid, i32, String, String) {
    eventually(deadline, format!("{key} to be {state}"), async || {
        sqlx::query_as(
            "SELECT id, attempt, COALESCE(worker, ''), COALESCE(output, error, '') FROM job_runs
             WHERE schedule_key = $1 AND state = $2",
        )
        .bind(key)
        .bind(state)
        .fetch_optional(database.pool())
        .await
        .unwrap()
    })
    .await
}

async fn told(database: &TestDatabase, event: &str, member: &str, value: String) {
    eventually(DEADLINE, format!("{event} of {value} in the trail"), async || {
        let found: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit.events WHERE type = $1 AND body::jsonb -> 'data' ->> $2 = $3",
        )
        .bind(event)
        .bind(member)
        .bind(&value)
        .fetch_one(database.pool())
        .await
        .unwrap();
        (found == 1).then_some(())
    })
    .await;
}

// Red without the claim, the renewals, the report, the lease that runs out, or a right of the scheduler's or the team's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_does_its_jobs_in_python_and_one_worker_takes_over_from_another_that_was_killed() {
    let World { database, broker, .. } = &World::start().await;
    let url = team(broker).await;
    let mut first = Example::start(&url, "0").await;
    add(database, "sales-report", r#"{"region":"eu"}"#).await;
    let (run, attempt, _, output) = run_in(database, ("sales-report", "succeeded"), DEADLINE).await;
    assert_eq!((attempt, output.as_str()), (1, "the sales of eu for 2020-05-04T09:00:00Z\n"));
    told(database, "operator.schedule.added", "schedule_key", "sales-report".to_owned()).await;
    told(database, "job.run.succeeded", "run_id", run.to_string()).await;
    // Its failure would last, and says so.
    add(database, "sales-nowhere", "{}").await;
    let (run, attempt, _, error) = run_in(database, ("sales-nowhere", "failed"), DEADLINE).await;
    assert!(attempt == 1 && error.contains("args hold no region"), "{error}");
    told(database, "job.run.failed", "run_id", run.to_string()).await;
    first.signal(Signal::SIGTERM);
    assert_eq!(first.ended().await, Some(0));

    let mut second = Example::start(&url, "600").await;
    add(database, "sales-long", r#"{"region":"us"}"#).await;
    second.says("working on").await;
    let (_, _, killed, _) = run_in(database, ("sales-long", "running"), DEADLINE).await;
    // It renews: by then its first lease would have run out.
    let renewed = "SELECT count(*) FROM job_runs WHERE state = 'running' AND attempt = 1
        AND lease_until > started_at + interval '35 seconds'";
    eventually(TAKEN_OVER, "a renewed lease", async || {
        let found: i64 = sqlx::query_scalar(renewed).fetch_one(database.pool()).await.unwrap();
        (found == 1).then_some(())
    })
    .await;
    second.signal(Signal::SIGKILL);
    second.ended().await;
    let mut third = Example::start(&url, "0").await;
    let (_, attempt, worker, output) = run_in(database, ("sales-long", "succeeded"), TAKEN_OVER).await;
    assert_eq!((attempt, output.as_str()), (2, "the sales of us for 2020-05-04T09:00:00Z\n"));
    assert_ne!(worker, killed);
    assert_eq!(schedules(database, &["remove", "sales-long"]).await["outcome"], "removed");
    told(database, "operator.schedule.removed", "schedule_key", "sales-long".to_owned()).await;
    third.signal(Signal::SIGINT);
    assert_eq!(third.ended().await, Some(0));
    assert_eq!((broker.queue_depth("sales.ticks").await, broker.queue_depth("dead.letters").await), (0, 0));
    dismiss(broker).await;
}

/// Red if a job that was cut short, because its worker could not renew, may be recorded as a success.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_lease_runs_out_alive_reports_nothing_and_the_run_is_tried_again() {
    let World { database, broker, scheduler, .. } = &mut World::start().await;
    let url = team(broker).await;
    let mut example = Example::start(&url, "90").await;
    add(database, "sales-report", r#"{"region":"eu"}"#).await;
    example.says("working on").await;
    scheduler.kill();
    broker.bind_queue("asks", "job.reports", &[]).await;
    eventually(TAKEN_OVER, "the example to see that its lease is over", async || {
        let asked: Vec<String> =
            broker.take_all("asks").await.into_iter().map(|ask| ask.routing_key).collect();
        assert!(!asked.contains(&"sales.finish".to_owned()), "half of a job is reported");
        example.read("log").contains("no longer ours").then_some(())
    })
    .await;
    scheduler.start_again();
    let second = "SELECT count(*) FROM job_runs WHERE state = 'running' AND attempt = 2";
    eventually(TAKEN_OVER, "the second attempt", async || {
        let found: i64 = sqlx::query_scalar(second).fetch_one(database.pool()).await.unwrap();
        (found == 1).then_some(())
    })
    .await;
    dismiss(broker).await;
}

/// Publishes an ask with an id that is no text in any encoding that AMQP knows: Rust's client would not.
const UNDECODABLE: &str = r#"
import os, pika
with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(correlation_id=b"\xff\xfe", delivery_mode=2)
    channel.basic_publish("job.reports", "sales.claim", b"{}", properties, mandatory=True)
"#;

// Red if the queue keeps a message for ever, or for hours, by which the connection breaks of whoever is given it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_no_client_of_ours_can_decode_holds_up_the_others_for_a_minute_and_not_for_hours() {
    let World { database, broker, scheduler, .. } = &World::start().await;
    let url = team(broker).await;
    let mut python = Command::new(environment::python());
    let published = python.arg("-c").arg(UNDECODABLE).env("AMQP_URL", &url).status().unwrap();
    assert!(published.success());
    let mut example = Example::start(&url, "0").await;
    add(database, "sales-report", r#"{"region":"eu"}"#).await;
    run_in(database, ("sales-report", "succeeded"), TAKEN_OVER).await;
    assert!(
        scheduler.log().contains("interrupted"),
        "it can be decoded by now: the limit of the queue may go"
    );
    example.signal(Signal::SIGTERM);
    assert_eq!(example.ended().await, Some(0));
    assert_eq!(broker.queue_depth("job.reports").await, 0);
    dismiss(broker).await;
}

/// Publishes what takes a level of recursion for every five bytes, as deep as a frame lets it be.
const NESTED: &str = r#"
import os, sys, threading, pika
sys.setrecursionlimit(10**6)
threading.stack_size(1 << 29)
def publish():
    nested = []
    for _ in range(21_000):
        nested = {"": nested} if sys.argv[1] == "" else [nested]
    with pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"])) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        properties = pika.BasicProperties(headers={"x": nested}, message_id=sys.argv[2], delivery_mode=2)
        channel.basic_publish(*sys.argv[1:], b"{}", properties, mandatory=True)
    print("published", flush=True)
thread = threading.Thread(target=publish)
thread.start()
thread.join()
"#;

fn publish_nested(amqp_url: &str, exchange: &str, key: &str) {
    let mut python = Command::new(environment::python());
    let output = python.args(["-c", NESTED, exchange, key]).env("AMQP_URL", amqp_url).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "published\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

// Red if a message whose headers are nested very deep overflows a stack, which takes the whole process along, or has PostgreSQL refuse
// the batch that it is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_nested_as_deep_as_can_be_takes_no_program_along_and_holds_up_nothing() {
    let World { database, broker, client, scheduler, producer_api, audit_consumer } =
        &mut World::start().await;
    publish_nested(&team(broker).await, "job.reports", "sales.claim");
    publish_nested(broker.amqp_url(), "task.events", "task.created");
    publish_nested(broker.amqp_url(), "auth.events", "auth.login.succeeded");
    let kept = "SELECT count(*) FROM audit.quarantine WHERE properties ->> 'headers' LIKE '%…%'";
    settled(DEADLINE, "both in quarantine", 2, async || -> i64 {
        sqlx::query_scalar(kept).fetch_one(database.pool()).await.unwrap()
    })
    .await;
    client.join("ada").await;
    told(database, "auth.user.registered", "username", "ada".to_owned()).await;
    settled(DEADLINE, "an answer to what was asked", 0, async || broker.queue_depth("job.reports").await)
        .await;
    publish_nested(broker.amqp_url(), "", "dead.letters");
    let list = Program::named("audit-consumer").env("AMQP_URL", broker.amqp_url());
    let listed = list.arg("dead-letters").arg("list").run().await;
    assert_eq!((listed.code, listed.output.contains("dead.letters")), (Some(0), true), "{}", listed.log);
    for program in [scheduler, producer_api, audit_consumer] {
        assert!(!program.has_ended(), "{}", program.log());
    }
    dismiss(broker).await;
}

/// Where RabbitMQ answers who has no queue.
const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// What somebody with the team's login tries.
enum Deed {
    Publish(&'static str, &'static str),
    Declare(&'static str),
    Bind(&'static str, &'static str),
    Consume(&'static str),
}

async fn attempt(connection: &Connection, deed: Deed) -> Result<(), lapin::Error> {
    // Each on a channel of its own, because a refusal closes it.
    let channel: Channel = connection.create_channel().await?;
    match deed {
        Deed::Publish(exchange, key) => {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            channel.basic_publish(exchange.into(), key.into(), options, b"{}", properties).await?.await?;
        }
        Deed::Declare(queue) => {
            let (options, none) = (QueueDeclareOptions::durable(), FieldTable::default());
            channel.queue_declare(queue.into(), options, none).await?;
        }
        Deed::Bind(exchange, pattern) => {
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            channel.queue_bind("sales.ticks".into(), exchange.into(), pattern.into(), options, none).await?;
        }
        Deed::Consume(queue) => {
            let options = BasicConsumeOptions::default();
            let options = BasicConsumeOptions { no_ack: queue == REPLY_TO, ..options };
            channel.basic_consume(queue.into(), "mine".into(), options, FieldTable::default()).await?;
        }
    }
    Ok(())
}

// Red if the rights of the page let a team say anything about another's runs, hear of its ticks, or tick itself.
#[tokio::test]
async fn a_team_can_do_nothing_with_its_login_but_see_to_its_own_queue() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    let config = BrokerConfig::at(&team(&broker).await).unwrap();
    let connection = shared::broker::connect(&config, "test", "test").await.unwrap();
    for deed in [
        Deed::Publish("job.reports", "sales.claim"),
        Deed::Publish("job.reports", "sales.finish"),
        Deed::Publish("job.reports", "sales.renew"),
        Deed::Consume("sales.ticks"),
        Deed::Consume(REPLY_TO),
    ] {
        attempt(&connection, deed).await.unwrap();
    }
    for deed in [
        Deed::Publish("job.reports", "default.finish"),
        Deed::Publish("job.reports", "stock.claim"),
        Deed::Publish("job.reports", "sales.eu.claim"),
        Deed::Publish("job.ticks", "sales.report"),
        Deed::Publish("job.events", "job.run.succeeded"),
        Deed::Publish("", "job.reports"),
        Deed::Declare("sales.mine"),
        Deed::Declare(""),
        Deed::Bind("job.ticks", "default.#"),
        Deed::Bind("job.ticks", "sales.#"),
        Deed::Bind("job.ticks", "#"),
        Deed::Bind("job.reports", "#"),
        Deed::Bind("auth.events", "#"),
        Deed::Consume("job.reports"),
        Deed::Consume("job.runs"),
    ] {
        let refused = attempt(&connection, deed).await.unwrap_err().to_string();
        assert!(refused.contains("ACCESS_REFUSED"), "{refused}");
    }
    dismiss(&broker).await;
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
