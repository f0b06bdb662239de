//! `topology export`, `check` and `apply` over a real broker, as an operator uses them.

use std::path::Path;

use lapin::ExchangeKind;
use lapin::options::{
    ExchangeBindOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use reqwest::Method;
use serde_json::{Value, json};
use shared::config::BrokerConfig;
use shared::role::Role;
use test_support::database::password_of;
use test_support::faults::PrivateRabbitmq;
use test_support::programs::{Ended, Program};
use test_support::{TestBroker, TestDatabase};
use url::Url;

/// `topology check` of the broker's virtual host, as anybody who may look.
async fn check(broker: &TestBroker, arguments: &[&str]) -> Ended {
    let program = Program::named("producer-api")
        .env("MANAGEMENT_URL", broker.management_url())
        .env("AMQP_URL", broker.amqp_url());
    let program = program.arg("topology").arg("check");
    arguments.iter().fold(program, |program, argument| program.arg(argument)).run().await
}

#[tokio::test]
async fn the_exported_definitions_make_a_virtual_host_on_which_every_program_starts() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let export = Program::named("producer-api").arg("topology").arg("export").run().await;
    assert_eq!((export.code, export.log.as_str()), (Some(0), ""));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/definitions.json");
    assert_eq!(std::fs::read_to_string(file).unwrap(), export.output, "what is committed is what is printed");

    let nothing = check(&broker, &[]).await;
    assert_eq!(nothing.code, Some(1));
    assert!(nothing.output.contains("queue audit.events is missing"), "{}", nothing.output);
    let host = broker.virtual_host();
    assert!(
        nothing.log.contains(&format!("the virtual host {host} is not as it should be")),
        "{}",
        nothing.log
    );

    let definitions: Value = serde_json::from_str(&export.output).unwrap();
    let path = format!("api/definitions/{}", broker.virtual_host());
    assert_eq!(broker.manage(Method::POST, &path, &definitions).await, 204);
    let clean = check(&broker, &[]).await;
    assert_eq!((clean.code, clean.output.lines().count()), (Some(0), 1), "{}", clean.output);

    // They declare all of it anew, with the arguments in code.
    let programs = [
        Program::producer_api(&database, &broker),
        Program::audit_consumer(&database, &broker),
        Program::scheduler(&database, &broker),
    ];
    let mut running = Vec::new();
    for program in programs {
        running.push(program.start().await);
    }
    let clean = check(&broker, &[]).await;
    assert_eq!(clean.code, Some(0), "the replicas' queues are no difference: {}", clean.output);
}

/// Every kind of thing that an operator, or another program, can have changed.
#[tokio::test]
async fn check_names_everything_that_was_changed_and_nothing_else() {
    let broker = TestBroker::create().await;
    broker.declare_topology().await;
    assert_eq!(check(&broker, &[]).await.code, Some(0));

    change(&broker).await;
    let ended = check(&broker, &[]).await;
    assert_eq!(ended.code, Some(1));
    let mut lines: Vec<&str> = ended.output.lines().collect();
    lines.sort_unstable();
    let expected = [
        r##"binding auth.events -> queue audit.events for "#" is missing"##,
        r#"binding auth.events -> queue welcome for "auth.user.registered" is not Warren's"#,
        r##"binding job.events -> queue audit.events for "#" is missing"##,
        r#"binding job.ticks -> queue job.runs for "default.#" is missing"#,
        r#"binding task.events -> exchange amq.topic for "task.#" is not Warren's"#,
        "exchange job.events has type fanout, not topic",
        "exchange welcome.dead is not Warren's",
        r#"queue audit.events is changed by the policy shrink: {"max-length":5}"#,
        r#"queue realtime.* is changed by the operator policy ceiling: {"max-length":7}"#,
        "queue job.runs is missing",
        "queue job.runs.mail has x-max-length 7, not 10000000",
        r#"binding job.ticks -> queue job.runs.mail for "mail.#" is missing"#,
        "queue job.runs.mail has x-dead-letter-exchange unset, not dead.letters",
        "queue job.runs.mail has x-dead-letter-strategy unset, not at-least-once",
        "queue job.runs.mail has x-delivery-limit unset, not 1000",
        "queue job.runs.mail has x-overflow unset, not reject-publish",
        "queue welcome is not Warren's",
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(lines, expected);

    let known = ["--json", "--also", "welcome", "--also", "welcome.dead", "--also", "amq.topic"];
    let ended = check(&broker, &known).await;
    let objects: Vec<Value> = ended.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((ended.code, objects.len()), (Some(1), expected.len() - 4), "{}", ended.output);
    let missing = json!({ "thing": "queue", "name": "job.runs", "difference": "missing" });
    assert!(objects.contains(&missing), "{objects:?}");
}

async fn change(broker: &TestBroker) {
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default;
    // A binding that is gone.
    channel.queue_unbind("audit.events".into(), "auth.events".into(), "#".into(), none()).await.unwrap();
    // A consumer of somebody else's, with what it needs.
    channel.queue_declare("welcome".into(), QueueDeclareOptions::durable(), none()).await.unwrap();
    let (options, key) = (QueueBindOptions::default(), "auth.user.registered");
    channel.queue_bind("welcome".into(), "auth.events".into(), key.into(), options, none()).await.unwrap();
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare("welcome.dead".into(), ExchangeKind::Fanout, options, none()).await.unwrap();
    let (options_of_it, key) = (ExchangeBindOptions::default(), "task.#");
    channel
        .exchange_bind("amq.topic".into(), "task.events".into(), key.into(), options_of_it, none())
        .await
        .unwrap();
    // A queue that is gone, and one that was made anew by hand.
    for queue in ["job.runs", "job.runs.mail"] {
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(7));
    channel.queue_declare("job.runs.mail".into(), QueueDeclareOptions::durable(), arguments).await.unwrap();
    // An exchange of another type.
    channel.exchange_delete("job.events".into(), ExchangeDeleteOptions::default()).await.unwrap();
    channel.exchange_declare("job.events".into(), ExchangeKind::Fanout, options, none()).await.unwrap();
    // A policy over a queue that is there, and one over queues that come and go.
    let policy = json!({ "pattern": "^audit", "definition": { "max-length": 5 }, "apply-to": "queues" });
    let path = format!("api/policies/{}/shrink", broker.virtual_host());
    assert_eq!(broker.manage(Method::PUT, &path, &policy).await, 201);
    let policy = json!({ "pattern": "^realtime", "definition": { "max-length": 7 }, "apply-to": "queues" });
    let path = format!("api/operator-policies/{}/ceiling", broker.virtual_host());
    assert_eq!(broker.manage(Method::PUT, &path, &policy).await, 201);
    connection.close(200, "done".into()).await.unwrap();
}

#[tokio::test]
async fn apply_makes_what_is_missing_says_what_differs_and_can_be_run_again() {
    let broker = TestBroker::create().await;
    let first = broker.apply_topology().await;
    assert_eq!(first.code, Some(0), "{}", first.log);
    for role in Role::ALL {
        assert!(first.output.contains(role.name()), "{}", first.output);
    }
    assert_eq!(check(&broker, &[]).await.code, Some(0));

    // A queue of others is theirs; one of ours that is otherwise can't be changed, and is said.
    let connection = broker.connect().await;
    let channel = connection.create_channel().await.unwrap();
    let none = FieldTable::default;
    channel.queue_declare("welcome".into(), QueueDeclareOptions::durable(), none()).await.unwrap();
    let again = broker.apply_topology().await;
    assert_eq!(again.code, Some(0), "{}", again.log);
    assert!(again.output.contains("queue welcome is not Warren's"), "{}", again.output);
    channel.queue_delete("job.runs".into(), QueueDeleteOptions::default()).await.unwrap();
    channel.queue_declare("job.runs".into(), QueueDeclareOptions::durable(), none()).await.unwrap();
    let differs = broker.apply_topology().await;
    assert_eq!(differs.code, Some(1));
    assert!(
        differs.output.contains("queue job.runs has x-queue-type unset, not quorum"),
        "{}",
        differs.output
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_call_is_exit_code_2_and_what_is_wrong_with_the_broker_1() {
    let topology = |command: &str| Program::named("producer-api").arg("topology").arg(command);
    let unset = topology("check").run().await;
    assert_eq!(unset.code, Some(2));
    assert!(unset.log.contains("MANAGEMENT_URL (or MANAGEMENT_URL_FILE) is not set"), "{}", unset.log);
    let nobody = topology("apply").env("MANAGEMENT_URL", "http://127.0.0.1:1").run().await;
    assert_eq!(nobody.code, Some(2), "a login is needed: {}", nobody.log);
    assert_eq!(topology("check").arg("--nonsense").run().await.code, Some(2));

    let away = topology("check").env("MANAGEMENT_URL", "http://user:hidden@127.0.0.1:1").run().await;
    assert_eq!((away.code, away.output.as_str()), (Some(1), ""));
    let words = "RabbitMQ's management API does not answer at http://127.0.0.1:1/";
    assert!(away.log.contains(words) && !away.log.contains("hidden"), "{}", away.log);

    let broker = TestBroker::create().await;
    let url = format!("{}nothing", broker.management_url());
    let elsewhere =
        topology("check").env("MANAGEMENT_URL", &url).env("AMQP_URL", broker.amqp_url()).run().await;
    assert_eq!((elsewhere.code, elsewhere.output.as_str()), (Some(1), ""));
    assert!(elsewhere.log.contains("(404)"), "{}", elsewhere.log);
}

#[tokio::test]
async fn a_virtual_host_that_is_missing_is_a_difference_and_apply_is_the_way_out() {
    let broker = TestBroker::create().await;
    let nowhere = check(&broker, &["--virtual-host", "nowhere"]).await;
    assert_eq!(nowhere.code, Some(1));
    let line = "virtual host nowhere is missing; run `topology apply`\n";
    assert_eq!(nowhere.output, line, "{}", nowhere.log);
    let nowhere = check(&broker, &["--virtual-host", "nowhere", "--json"]).await;
    let object: Value = serde_json::from_str(&nowhere.output).unwrap();
    assert_eq!(object, json!({ "thing": "virtual_host", "name": "nowhere", "difference": "missing" }));
}

/// `topology apply` as the administrator, without anybody's password.
async fn apply_without_passwords(broker: &TestBroker) -> Ended {
    let program = Program::named("producer-api").arg("topology").arg("apply");
    program.env("MANAGEMENT_URL", broker.management_url()).env("AMQP_URL", broker.amqp_url()).run().await
}

/// On a broker of its own, whose users are nobody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_names_what_users_may_beside_their_rights_and_apply_takes_it_from_them() {
    let server = PrivateRabbitmq::start().await;
    let broker = server.broker().await;
    assert_eq!(broker.apply_topology().await.code, Some(0));
    let clean = check(&broker, &[]).await;
    assert_eq!((clean.code, clean.output.lines().count()), (Some(0), 1), "{}", clean.output);

    let host = broker.virtual_host();
    let tagged = json!({ "password": password_of(Role::Scheduler), "tags": "administrator" });
    let everything = json!({ "configure": "^$", "write": ".*", "read": r"^(audit\.events)$" });
    let topics = json!({ "exchange": "task.events", "write": "^task", "read": ".*" });
    for (path, document) in [
        ("api/users/warren_scheduler".to_owned(), &tagged),
        (format!("api/permissions/{host}/warren_audit_consumer"), &everything),
        (format!("api/topic-permissions/{host}/warren_producer_api"), &topics),
    ] {
        let status = broker.manage(Method::PUT, &path, document).await;
        assert!((200..300).contains(&status), "{path}: {status}");
    }
    let of_topics = r#"user warren_producer_api has topic permissions for task.events {"read":".*","write":"^task"}, not unset"#;
    let changed = check(&broker, &[]).await;
    let lines: Vec<&str> = changed.output.lines().collect();
    let expected = [
        of_topics,
        "user warren_audit_consumer has write .*, not ^$",
        "user warren_scheduler has tags administrator, not unset",
    ];
    assert_eq!((changed.code, lines), (Some(1), expected.to_vec()), "{}", changed.log);

    // Operators see the virtual host, and no users.
    let as_operator = |arguments: &[&str]| {
        let mut url = Url::parse(broker.management_url()).unwrap();
        url.set_username(Role::Operator.name()).unwrap();
        url.set_password(Some(password_of(Role::Operator))).unwrap();
        let program = Program::named("producer-api").arg("topology").arg("check");
        let program = program.env("MANAGEMENT_URL", url.as_str()).env("AMQP_URL", broker.amqp_url());
        arguments.iter().fold(program, |program, argument| program.arg(argument))
    };
    let unseen = "users were not looked at (needs an administrator)";
    let seen = as_operator(&[]).run().await;
    assert_eq!((seen.code, seen.output.lines().last()), (Some(0), Some(unseen)), "{}", seen.log);
    let seen = as_operator(&["--json"]).run().await;
    assert_eq!((seen.code, seen.output.as_str()), (Some(0), ""));
    assert!(seen.log.contains(unseen), "{}", seen.log);

    assert_eq!(broker.manage(Method::DELETE, "api/users/warren_operator", &json!({})).await, 204);
    let applied = apply_without_passwords(&broker).await;
    assert_eq!(applied.code, Some(1), "it deletes nothing: {}", applied.output);
    let words = "the user warren_operator is not there and was not made, because no password was given";
    assert!(applied.output.contains(words), "{}", applied.output);
    let words = "the user warren_scheduler has its rights; no password was given, so that it keeps its own";
    assert!(applied.output.contains(words), "{}", applied.output);
    assert_eq!(applied.output.lines().last(), Some(of_topics), "{}", applied.output);
    let path = format!("api/topic-permissions/{host}/warren_producer_api");
    assert_eq!(broker.manage(Method::DELETE, &path, &json!({})).await, 204);
    let clean = check(&broker, &[]).await;
    assert_eq!(clean.code, Some(0), "tags and rights are ours again: {}", clean.output);
    let config = BrokerConfig::at(&broker.amqp_url_as(Role::Scheduler)).unwrap();
    shared::broker::connect(&config, "test", "test").await.expect("it has the password it had");
}
