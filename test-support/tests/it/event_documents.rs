//! The documents about our events against what is really on the broker: every event as it comes out of RabbitMQ, and every
//! exchange, queue and binding that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use jsonschema::{Draft, Validator};
use lapin::BasicProperties;
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use reqwest::Method;
use serde_json::{Value, json};
use shared::broker::topology::EXCHANGES;
use shared::clock::Clock;
use shared::contracts::auth::KeysRotated;
use shared::contracts::{EventType, Origin};
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use test_support::api::{Answer, Client, Login, PASSWORD, send};
use test_support::broker::Taken;
use test_support::mail_server::{At, Conduct, MailServer, ReceivedMail};
use test_support::programs::{Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, environment, eventually, settled};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_mins(2);
const TAP: &str = "a-tests-tap";
const SECOND: &str = "a warren of many burrows";
/// Made by Django of [`PASSWORD`].
const DJANGOS_HASH: &str = "pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=";

/// Warren with rotation, few guesses, real mail, and a queue that gets a copy of every message.
struct Stage {
    client: Client,
    mail: MailServer,
    site: String,
    database: TestDatabase,
    broker: TestBroker,
    keys: tempfile::TempDir,
    _programs: Vec<RunningProgram>,
}

impl Stage {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        broker.declare_topology().await;
        tap(&broker).await;
        let mail = MailServer::start().await;
        let keys = tempfile::tempdir().unwrap();
        let mut api = Program::producer_api(&database, &broker)
            .env("ROTATE_REFRESH_TOKENS", "true")
            .env("BLACKLIST_AFTER_ROTATION", "true")
            .env("REFRESH_GRACE_SECONDS", "0")
            .env("LOGIN_FAILURES_PER_ACCOUNT", "2")
            .spawn();
        api.wait_until_ready().await;
        let site = api.url();
        let mut scheduler = Program::scheduler(&database, &broker).env("PUBLIC_URL", &site);
        for (name, value) in mail.settings() {
            scheduler = scheduler.env(name, &value);
        }
        let mut scheduler = scheduler.spawn();
        scheduler.wait_until_ready().await;
        let client = api.client();
        Self { client, mail, site, database, broker, keys, _programs: vec![api, scheduler] }
    }

    async fn ask(&self, method: Method, path: &str, login: &Login, body: &Value) -> Answer {
        send(self.client.request(method, path).bearer_auth(&login.access).json(body)).await
    }

    async fn follow(&self, mail: &ReceivedMail, more: &[(&str, &str)], status: u16) {
        let path = mail.link().strip_prefix(&self.site).unwrap().split('?').next().unwrap().to_owned();
        let token = mail.token();
        let mut form = vec![("token", token.as_str())];
        form.extend(more);
        send(self.client.request(Method::POST, &path).form(&form)).await.expect(status);
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.database.pool()).await.unwrap();
    }
}

async fn tap(broker: &TestBroker) {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel.queue_declare(TAP.into(), QueueDeclareOptions::durable(), FieldTable::default()).await.unwrap();
    for exchange in EXCHANGES {
        let (options, arguments) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(TAP.into(), exchange.name.into(), "#".into(), options, arguments).await.unwrap();
    }
    connection.close(200, "done".into()).await.unwrap();
}

/// Goes red when a payload gains, loses or renames a member, or an envelope or a header changes, without the documents;
/// and when an event is never sent at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_comes_out_of_the_broker_as_its_schema_and_the_asyncapi_document_say() {
    let stage = Stage::start().await;
    addresses_and_passwords(&stage).await;
    tokens_and_keys(&stage).await;
    guesses_and_staff(&stage).await;
    tasks(&stage).await;
    a_mail_that_nobody_takes(&stage).await;
    ends_of_the_road(&stage).await;
    schedules_and_runs(&stage).await;
    the_trail(&stage).await;

    let document = stage.client.get("/api/events/schema/").await.expect(200).body;
    let all: BTreeSet<_> = EventType::ALL.iter().map(|event| event.name.to_owned()).collect();
    let mut seen = BTreeSet::new();
    let mut validators = BTreeMap::new();
    eventually(DEADLINE, "every event", async || {
        for message in stage.broker.take_all(TAP).await {
            let name = message.json()["type"].as_str().unwrap().to_owned();
            if !validators.contains_key(&name) {
                validators.insert(name.clone(), Validators::of(&stage.client, &document, &name).await);
            }
            validators[&name].check(&message);
            seen.insert(name);
        }
        let missing: Vec<_> = all.difference(&seen).collect();
        if !missing.is_empty() {
            eprintln!("not seen yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
    assert_eq!(seen, all);
}

async fn addresses_and_passwords(stage: &Stage) {
    let ada = stage.client.join("ada").await;
    let link = stage.mail.mail_to("ada@example.com", 1).await;
    stage.follow(&link, &[], 200).await;
    stage.follow(&link, &[], 400).await;
    let taken = json!({ "username": "eve", "email": "ada@example.com", "password": PASSWORD });
    stage.client.post("/api/register/", &taken).await.expect(201);
    let change = json!({ "first_name": "Ada", "email": "ada@new.example", "password": PASSWORD });
    stage.ask(Method::PATCH, "/api/users/me/", &ada, &change).await.expect(200);
    stage.follow(&stage.mail.mail_to("ada@new.example", 1).await, &[], 200).await;
    for (present, status) in [("what a thief guesses", 400), (PASSWORD, 200)] {
        let change = json!({ "current_password": present, "new_password": SECOND });
        stage.ask(Method::POST, "/api/password/change/", &ada, &change).await.expect(status);
    }
    stage.client.post("/api/password/reset/", &json!({ "email": "ada@new.example" })).await.expect(202);
    let reset = eventually(DEADLINE, "the link to choose a new password", async || {
        let mails = stage.mail.mails_to("ada@new.example");
        mails.into_iter().find(|mail| mail.header("Subject").unwrap() == "Choose a new password")
    })
    .await;
    stage.follow(&reset, &[("password", "seventeen brown rabbits")], 200).await;
}

async fn tokens_and_keys(stage: &Stage) {
    let grace = stage.client.join("grace").await;
    let exchanged = stage.client.refresh(&grace.refresh).await.expect(200).text("refresh").to_owned();
    stage.client.refresh(&exchanged).await.expect(200);
    stage.client.refresh(&grace.refresh).await.expect(401);
    stage.client.register("django").await.expect(201);
    sqlx::query("UPDATE users SET password = $1 WHERE username = 'django'")
        .bind(DJANGOS_HASH)
        .execute(stage.database.pool())
        .await
        .unwrap();
    let django = stage.client.log_in("django").await;
    stage.client.log_out(&django).await.expect(200);
    let rotate = Program::producer_api(&stage.database, &stage.broker)
        .env("ALGORITHM", "ES256")
        .env("SIGNING_KEY", "")
        .env("SIGNING_KEYS_DIR", stage.keys.path().to_str().unwrap());
    let rotated = rotate.arg("keys").arg("rotate").run().await;
    assert_eq!(rotated.code, Some(0), "{}", rotated.log);
}

async fn guesses_and_staff(stage: &Stage) {
    let bob = stage.client.join("bob").await;
    stage.ask(Method::GET, "/api/users/", &bob, &json!({})).await.expect(403);
    for status in [401, 401, 429] {
        stage.client.try_log_in("bob", "what a thief guesses").await.expect(status);
    }
    let chief = stage.client.join("chief").await;
    stage.sql("UPDATE users SET is_staff = true, is_superuser = true WHERE username = 'chief'").await;
    for action in ["unlock", "disable", "enable"] {
        let path = format!("/api/users/{}/{action}/", bob.user_id);
        stage.ask(Method::POST, &path, &chief, &json!({})).await.expect(200);
    }
    let bob = stage.client.log_in("bob").await;
    let password = json!({ "password": PASSWORD });
    stage.ask(Method::DELETE, "/api/users/me/", &bob, &password).await.expect(204);
}

async fn tasks(stage: &Stage) {
    let login = stage.client.join("planner").await;
    let task = stage.client.create_task(&login, "burrow \"\\u0000\" ü 🐇").await.expect(201);
    let path = format!("/api/tasks/{}/", task.body["id"]);
    stage.ask(Method::PATCH, &path, &login, &json!({ "title": "dig" })).await.expect(200);
    stage.ask(Method::DELETE, &path, &login, &json!({})).await.expect(204);
}

async fn a_mail_that_nobody_takes(stage: &Stage) {
    stage.mail.from_now_on(Conduct::Answer(At::Recipient, "550 5.1.1 no such user"));
    stage.client.register("nobody").await.expect(201);
}

/// An event that was written and not told; what it is doesn't matter here.
type Written = (Uuid, String, String, Value, String);

async fn written(stage: &Stage) -> Written {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let trace = TraceContext::new(&entropy);
    let data = KeysRotated { kid: "a key".to_owned(), retired: vec![], origin: Origin::default() };
    let mut transaction = stage.database.pool().begin().await.unwrap();
    let id = Outbox::new("test", clock, entropy).append(&mut transaction, &trace, data).await.unwrap();
    let row = "SELECT event_id, exchange, routing_key, headers, body FROM outbox WHERE event_id = $1";
    let row = sqlx::query_as(row).bind(id.0).fetch_one(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    row
}

/// One event comes to each end of the road, and another to be thrown away there.
async fn ends_of_the_road(stage: &Stage) {
    let (id, exchange, key, headers, body) = written(stage).await;
    for (place, event_id) in [(-2_i64, id), (-1, Uuid::nil())] {
        let park = "INSERT INTO outbox_parked
            (seq, event_id, exchange, routing_key, headers, body, created_at, attempts, reason, retry_at)
            VALUES ($1, $2, $3, $4, $5, $6, now(), 3, '312 NO_ROUTE', 'infinity')";
        let park = sqlx::query(park).bind(place).bind(event_id).bind(&exchange).bind(&key).bind(&headers);
        park.bind(&body).execute(stage.database.pool()).await.unwrap();
        let set_aside = "INSERT INTO audit.quarantine (digest, raw, properties, reason)
            VALUES (sha256($1), convert_to($2, 'UTF8'), '{\"type\": \"of-a-stranger\"}', 'unreadable')";
        let set_aside = sqlx::query(set_aside).bind(event_id.as_bytes().as_slice()).bind(&body);
        set_aside.execute(stage.database.pool()).await.unwrap();
        let mut story = FieldTable::default();
        for (name, value) in [("x-first-death-queue", "audit.events"), ("x-first-death-reason", "rejected")] {
            story.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        let properties = BasicProperties::default().with_message_id(event_id.to_string().into());
        let properties = properties.with_type(key.as_str().into()).with_headers(story);
        stage.broker.publish_raw("", "dead.letters", properties, body.as_bytes()).await;
    }
    let id = id.to_string();
    for (program, end, first) in [
        ("producer-api", "parked", id.as_str()),
        ("audit-consumer", "quarantine", "1"),
        ("audit-consumer", "dead-letters", &id),
    ] {
        for (verb, which, letters) in [("replay", first, 2), ("discard", "--all", 1)] {
            if end == "dead-letters" {
                // What a command gives back is there a moment after its end.
                let there = async || stage.broker.queue_depth("dead.letters").await;
                settled(DEADLINE, "dead letters", letters, there).await;
            }
            let command = Program::named(program)
                .env("DATABASE_URL", stage.database.url())
                .env("AMQP_URL", stage.broker.amqp_url());
            let words = [end, verb, which, "--reason", "a test"];
            let ended = words.iter().fold(command, |command, word| command.arg(word)).run().await;
            assert_eq!(ended.code, Some(0), "{end} {verb}: {}", ended.log);
        }
    }
}

/// Paused, changed, resumed, run now; a failed run replayed, a waiting one canceled.
async fn schedules_and_runs(stage: &Stage) {
    stage
        .sql(
            "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, state, attempt, attempts_max,
                 timeout_seconds, run_after, finished_at)
             SELECT gen_random_uuid(), run.key, run.key, now(), 'default', run.state, 1, 1, 1, '2999-01-01', run.finished_at
             FROM (VALUES ('failed', 'failed', now()), ('waiting', 'queued', NULL)) AS run (key, state, finished_at)",
        )
        .await;
    for line in [
        "schedules add nightly --job report --queue default --timetable @daily",
        "schedules remove nightly",
        "schedules pause purge-mail",
        "schedules override purge-mail --timetable @daily",
        "schedules resume purge-mail",
        "schedules run purge-mail",
        "runs replay --all --job failed",
        "runs cancel --all --job waiting",
    ] {
        let command = Program::named("scheduler").env("DATABASE_URL", stage.database.url());
        let words = line.split(' ').chain(["--reason", "a test"]);
        let ended = words.fold(command, Program::arg).run().await;
        assert_eq!(ended.code, Some(0), "{line}: {}", ended.log);
    }
}

/// Read, exported, and an old month of it dropped.
async fn the_trail(stage: &Stage) {
    let reader = stage.client.join("reader").await;
    stage.sql("UPDATE users SET is_staff = true WHERE username = 'reader'").await;
    stage.ask(Method::GET, "/api/audit/events/?type=x&ip=::1", &reader, &json!({})).await.expect(200);
    let mut export = Program::named("audit-consumer").env("DATABASE_URL", stage.database.url());
    for argument in ["export", "--format", "csv", "--user-id", "7", "--reason", "why not", "--actor", "ada"] {
        export = export.arg(argument);
    }
    let exported = export.run().await;
    assert_eq!(exported.code, Some(0), "{}", exported.log);
    stage.sql("SELECT audit.make_partitions('2020-01-01', 0)").await;
    stage
        .sql(
            "UPDATE job_schedules SET watermark = watermark - interval '1 day', next_due_at = clock_timestamp()
             WHERE job_key = 'drop-audit-partitions'",
        )
        .await;
}

/// What one event is held against.
struct Validators {
    /// The message of the AsyncAPI document.
    message: Value,
    /// Its envelope with its payload.
    envelope: Validator,
    /// What its `dataschema` names, with nothing more allowed than is described.
    data: Validator,
}

impl Validators {
    async fn of(client: &Client, document: &Value, name: &str) -> Self {
        let envelope = json!({
            "$ref": format!("#/components/messages/{name}/payload"),
            "components": document["components"],
        });
        let message = document["components"]["messages"][name].clone();
        let path = message["payload"]["properties"]["dataschema"]["const"].as_str().unwrap();
        let mut data = client.get(path).await.expect(200).body;
        allow_nothing_more(&mut data);
        Self { message, envelope: validator(&envelope), data: validator(&data) }
    }

    fn check(&self, taken: &Taken) {
        let body = taken.json();
        for (what, validator, instance) in
            [("envelope", &self.envelope, &body), ("data", &self.data, &body["data"])]
        {
            let faults: Vec<_> = validator.iter_errors(instance).map(|error| error.to_string()).collect();
            assert!(faults.is_empty(), "the {what} of {body}: {faults:#?}");
        }
        let described = &self.message["payload"]["allOf"];
        assert_eq!(described, &json!([{ "$ref": "#/components/schemas/CloudEvent" }]));
        let properties = &taken.properties;
        let text = |text: &Option<lapin::types::ShortString>| text.as_ref().unwrap().as_str().to_owned();
        assert_eq!(text(properties.content_type()), self.message["contentType"]);
        assert_eq!(text(properties.kind()), self.message["bindings"]["amqp"]["messageType"]);
        assert_eq!(text(properties.message_id()), body["id"]);
        let headers = properties.headers().as_ref().unwrap().inner();
        let headers: Value = headers
            .iter()
            .map(|(name, value)| {
                let text = value.as_long_string().map(ToString::to_string);
                (name.to_string(), json!(text))
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        let mut described = self.message["headers"].clone();
        allow_nothing_more(&mut described);
        let faults: Vec<_> =
            validator(&described).iter_errors(&headers).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "the headers {headers} of {body}: {faults:#?}");
    }
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().with_draft(Draft::Draft7).should_validate_formats(true).build(schema).unwrap()
}

/// A reader must let unknown members pass; a test of the writer must not.
fn allow_nothing_more(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(allow_nothing_more);
        }
        Value::Array(elements) => elements.iter_mut().for_each(allow_nothing_more),
        _ => {}
    }
}

/// Goes red when the topology and the document differ in a name, a kind, an argument or a binding.
#[tokio::test]
async fn the_topology_in_the_asyncapi_document_is_the_topology_on_the_broker() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let api = Program::producer_api(&database, &broker).start().await;
    let document = api.client().get("/api/events/schema/").await.expect(200).body;
    let described = described_topology(&document);
    settled(DEADLINE, "the topology on the broker", described, async || topology_on(&broker).await).await;
}

/// Exchanges, queues with their arguments, and bindings, each in text order.
type Topology = [Vec<String>; 3];

fn described_topology(document: &Value) -> Topology {
    let (mut exchanges, mut queues, mut bindings) = (Vec::new(), Vec::new(), Vec::new());
    for channel in document["channels"].as_object().unwrap().values() {
        let amqp = &channel["bindings"]["amqp"];
        if amqp["is"] == "routingKey" {
            let one = &amqp["exchange"];
            exchanges.push(json!([one["name"], one["type"], one["durable"], one["autoDelete"]]));
            continue;
        }
        let one = &amqp["queue"];
        assert_eq!(channel["address"], one["name"]);
        queues.push(json!([one["name"], one["durable"], one["autoDelete"], channel["x-arguments"]]));
        for binding in channel["x-bindings"].as_array().unwrap() {
            bindings.push(json!([binding["exchange"], one["name"], binding["pattern"]]));
        }
    }
    [exchanges, queues, bindings].map(sorted)
}

/// Without what RabbitMQ brings itself, and without the queues of one connection.
async fn topology_on(broker: &TestBroker) -> Topology {
    let host = broker.virtual_host();
    let list = async |kind: &str| {
        let list = broker.get(&format!("api/{kind}/{host}")).await;
        list.as_array().unwrap().clone()
    };
    let brought = |name: &Value| name == "" || name.as_str().unwrap().starts_with("amq.");
    let exchanges = list("exchanges").await.into_iter().filter(|one| !brought(&one["name"]));
    let exchanges =
        exchanges.map(|one| json!([one["name"], one["type"], one["durable"], one["auto_delete"]]));
    let (lasting, passing): (Vec<_>, Vec<_>) =
        list("queues").await.into_iter().partition(|one| one["exclusive"] == false);
    let queues =
        lasting.iter().map(|one| json!([one["name"], one["durable"], one["auto_delete"], one["arguments"]]));
    let is_passing = |name: &Value| passing.iter().any(|queue| queue["name"] == *name);
    let bindings = list("bindings").await.into_iter();
    let bindings = bindings.filter(|one| one["source"] != "" && !is_passing(&one["destination"]));
    let bindings = bindings.map(|one| json!([one["source"], one["destination"], one["routing_key"]]));
    [exchanges.collect(), queues.collect(), bindings.collect()].map(sorted)
}

#[expect(clippy::needless_pass_by_value, reason = "mapped over")]
fn sorted(values: Vec<Value>) -> Vec<String> {
    let mut texts: Vec<_> = values.iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

#[test]
fn asyncapis_own_parser_has_nothing_to_say_about_the_document() {
    assert_eq!(said_by_the_parser(&shared::event_documents::asyncapi()), json!([]));
    let mut broken = shared::event_documents::asyncapi();
    broken["operations"]["publish:auth.events"]["channel"]["$ref"] = json!("#/channels/nowhere");
    assert_ne!(said_by_the_parser(&broken), json!([]), "it would find a fault");
}

fn said_by_the_parser(document: &Value) -> Value {
    let mut parser = Command::new(environment::node())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/asyncapi/validate.mjs"))
        .arg(environment::node_folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser.stdin.take().unwrap().write_all(document.to_string().as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}
