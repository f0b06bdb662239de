//! The comparison, over virtual hosts written as JSON.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use shared::broker::definitions::definitions;

use super::*;

/// A virtual host as it should be, with all that a live one has beside.
fn good() -> Value {
    let mut found = definitions("/");
    let own = json!([
        { "name": "", "type": "direct", "durable": true, "auto_delete": false, "internal": false, "arguments": {} },
        { "name": "amq.topic", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": {} },
    ]);
    add(&mut found, "exchanges", own);
    let replicas = json!([
        { "name": "realtime.api-1.00ff", "durable": false, "auto_delete": true, "exclusive": true, "arguments": {} },
        { "name": "revocations.api-1.00ff", "durable": false, "auto_delete": true, "exclusive": true, "arguments": {} },
        { "name": "amq.gen-x", "durable": false, "auto_delete": true, "exclusive": true, "arguments": {} },
    ]);
    add(&mut found, "queues", replicas);
    let bindings = json!([
        binding("", "audit.events", "audit.events"),
        binding("task.events", "realtime.api-1.00ff", "#"),
        binding("auth.events", "revocations.api-1.00ff", "auth.session.ended"),
        binding("amq.topic", "amq.gen-x", "#"),
    ]);
    add(&mut found, "bindings", bindings);
    for policies in ["policies", "operator_policies"] {
        found[policies] = json!([
            { "name": "others", "pattern": "^welcome", "apply-to": "all", "definition": { "max-length": 1 } },
        ]);
    }
    found
}

fn binding(source: &str, queue: &str, key: &str) -> Value {
    json!({
        "source": source, "destination": queue, "destination_type": "queue", "routing_key": key, "arguments": {},
    })
}

fn policy(pattern: &str, apply_to: &str, definition: &Value) -> Value {
    json!([{ "name": "mine", "pattern": pattern, "apply-to": apply_to, "definition": definition }])
}

fn add(found: &mut Value, list: &str, more: Value) {
    let Value::Array(more) = more else { panic!("no list: {more}") };
    found[list].as_array_mut().unwrap().extend(more);
}

fn remove(found: &mut Value, list: &str, is_it: impl Fn(&Value) -> bool) {
    let list = found[list].as_array_mut().unwrap();
    let before = list.len();
    list.retain(|one| !is_it(one));
    assert_eq!(list.len() + 1, before, "exactly one is removed");
}

fn of<'a>(found: &'a mut Value, list: &str, name: &str) -> &'a mut Value {
    found[list].as_array_mut().unwrap().iter_mut().find(|one| one["name"] == name).unwrap()
}

fn compared(found: &Value, also: &[String]) -> Vec<String> {
    fn list<T: DeserializeOwned>(found: &Value, name: &str) -> Vec<T> {
        serde_json::from_value(found[name].clone()).unwrap()
    }
    let found = Found {
        exchanges: list(found, "exchanges"),
        queues: list(found, "queues"),
        bindings: list(found, "bindings"),
        policies: list(found, "policies"),
        operator_policies: list(found, "operator_policies"),
        users: None,
    };
    differences(&found, also).iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_as_it_should_be_has_no_difference() {
    assert_eq!(compared(&good(), &[]), Vec::<String>::new());
}

#[test]
fn nothing_at_all_is_everything_missing() {
    let nothing = json!({
        "exchanges": [], "queues": [], "bindings": [], "policies": [], "operator_policies": [],
    });
    let differences = compared(&nothing, &[]);
    assert_eq!(differences.len(), EXCHANGES.len() + QUEUES.len() + BINDINGS.len());
    assert!(differences.iter().all(|difference| difference.ends_with(" is missing")), "{differences:?}");
}

type Change = fn(&mut Value);

/// What an operator, or another program, may have done; and what is said about it.
const CHANGES: &[(Change, &str)] = &[
    (
        |found| remove(found, "exchanges", |one| one["name"] == "auth.events"),
        "exchange auth.events is missing",
    ),
    (
        |found| of(found, "exchanges", "auth.events")["type"] = json!("fanout"),
        "exchange auth.events has type fanout, not topic",
    ),
    (
        |found| of(found, "exchanges", "job.ticks")["durable"] = json!(false),
        "exchange job.ticks has durable false, not true",
    ),
    (
        |found| of(found, "exchanges", "job.ticks")["internal"] = json!(true),
        "exchange job.ticks has internal true, not false",
    ),
    (
        |found| of(found, "exchanges", "task.events")["arguments"] = json!({ "alternate-exchange": "x" }),
        "exchange task.events has alternate-exchange x, not unset",
    ),
    (
        |found| add(found, "policies", policy("task", "exchanges", &json!({ "alternate-exchange": "x" }))),
        r#"exchange task.events is changed by the policy mine: {"alternate-exchange":"x"}"#,
    ),
    (
        |found| {
            let other = json!([{ "name": "strange", "type": "topic", "durable": true }]);
            add(found, "exchanges", other);
        },
        "exchange strange is not Warren's",
    ),
    (|found| remove(found, "queues", |one| one["name"] == "job.runs"), "queue job.runs is missing"),
    (
        |found| of(found, "queues", "job.runs")["durable"] = json!(false),
        "queue job.runs has durable false, not true",
    ),
    (
        |found| of(found, "queues", "audit.events")["arguments"]["x-max-length"] = json!(5),
        "queue audit.events has x-max-length 5, not 10000000",
    ),
    (
        |found| {
            of(found, "queues", "audit.events")["arguments"].as_object_mut().unwrap().remove("x-overflow");
        },
        "queue audit.events has x-overflow unset, not reject-publish",
    ),
    (
        |found| of(found, "queues", "audit.events")["arguments"]["x-expires"] = json!(1000),
        "queue audit.events has x-expires 1000, not unset",
    ),
    (
        |found| of(found, "queues", "audit.events")["arguments"]["x-queue-type"] = json!("classic"),
        "queue audit.events has x-queue-type classic, not quorum",
    ),
    (
        |found| add(found, "policies", policy("^audit", "queues", &json!({ "max-length": 5 }))),
        r#"queue audit.events is changed by the policy mine: {"max-length":5}"#,
    ),
    (
        |found| {
            add(found, "operator_policies", policy("^dead", "quorum_queues", &json!({ "message-ttl": 1 })));
        },
        r#"queue dead.letters is changed by the operator policy mine: {"message-ttl":1}"#,
    ),
    // Also while no replica is there, and of one alone.
    (
        |found| add(found, "policies", policy("^revocations\\.", "classic_queues", &json!({ "expires": 1 }))),
        r#"queue revocations.* is changed by the policy mine: {"expires":1}"#,
    ),
    (
        |found| add(found, "policies", policy(r"^realtime\.api-1\.00ff$", "all", &json!({ "expires": 1 }))),
        r#"queue realtime.* is changed by the policy mine: {"expires":1}"#,
    ),
    (
        |found| add(found, "queues", json!([{ "name": "strange", "durable": true }])),
        "queue strange is not Warren's",
    ),
    // Named as a replica's, but it would stay behind.
    (
        |found| {
            add(found, "queues", json!([{ "name": "realtime.mine", "durable": true, "exclusive": false }]));
        },
        "queue realtime.mine is not Warren's",
    ),
    (
        |found| {
            remove(found, "bindings", |one| {
                one["source"] == "auth.events" && one["destination"] == "audit.events"
            });
        },
        r##"binding auth.events -> queue audit.events for "#" is missing"##,
    ),
    (
        |found| add(found, "bindings", json!([binding("auth.events", "amq.gen-x", "auth.#")])),
        r#"binding auth.events -> queue amq.gen-x for "auth.#" is not Warren's"#,
    ),
    (
        |found| add(found, "bindings", json!([binding("amq.topic", "audit.events", "x")])),
        r#"binding amq.topic -> queue audit.events for "x" is not Warren's"#,
    ),
    (
        |found| {
            let mut onto_ours = binding("amq.topic", "job.ticks", "x");
            onto_ours["destination_type"] = json!("exchange");
            add(found, "bindings", json!([onto_ours]));
        },
        r#"binding amq.topic -> exchange job.ticks for "x" is not Warren's"#,
    ),
    // Of two bindings with one key, the one with arguments is somebody else's.
    (
        |found| {
            let mut twin = binding("auth.events", "audit.events", "#");
            twin["arguments"] = json!({ "x": 1 });
            add(found, "bindings", json!([twin]));
        },
        r##"binding auth.events -> queue audit.events for "#" with {"x":1} is not Warren's"##,
    ),
];

#[test]
fn each_change_is_named_and_nothing_else_is() {
    for (change, expected) in CHANGES {
        let mut found = good();
        change(&mut found);
        assert_eq!(compared(&found, &[]), [*expected]);
    }
}

/// Our parser of patterns knows less than the broker's.
#[test]
fn a_policy_whose_pattern_cant_be_read_counts_for_all_that_it_applies_to() {
    let mut found = good();
    add(&mut found, "policies", policy("^(?!dead)", "queues", &json!({ "max-length": 5 })));
    assert_eq!(compared(&found, &[]).len(), QUEUES.len() + REPLICA_QUEUES.len());
}

#[test]
fn what_is_known_to_be_there_is_no_difference_with_all_its_bindings() {
    let mut found = good();
    add(&mut found, "queues", json!([{ "name": "welcome.registrations", "durable": true }]));
    add(&mut found, "exchanges", json!([{ "name": "welcome.dead", "type": "fanout", "durable": true }]));
    add(
        &mut found,
        "bindings",
        json!([
            binding("auth.events", "welcome.registrations", "auth.user.registered"),
            binding("welcome.dead", "dead.letters", ""),
        ]),
    );
    let known = ["welcome.registrations".to_owned(), "welcome.dead".to_owned()];
    assert_eq!(compared(&found, &known), Vec::<String>::new());
    assert_eq!(compared(&found, &[]).len(), 4);
}

#[test]
fn a_difference_is_one_flat_object_for_programs() {
    let mut found = good();
    of(&mut found, "queues", "audit.events")["arguments"]["x-max-length"] = json!(5);
    let queues = serde_json::from_value(found["queues"].clone()).unwrap();
    let found = Found { queues, ..Found::default() };
    let differences = differences(&found, &[]);
    let queue = differences.iter().find(|one| matches!(one.thing, Thing::Queue { .. })).unwrap();
    let expected = json!({
        "thing": "queue", "name": "audit.events",
        "difference": "different", "property": "x-max-length", "expected": 10_000_000, "found": 5,
    });
    assert_eq!(serde_json::to_value(queue).unwrap(), expected);
}
