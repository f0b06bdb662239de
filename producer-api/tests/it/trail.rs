//! The audit trail as staff reads it over HTTP.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use test_support::api::{Answer, Login, send};

use crate::harness::Api;

const PATH: &str = "/api/audit/events/";

async fn get(api: &Api, path: &str, login: &Login) -> Answer {
    send(api.client.request(Method::GET, path).bearer_auth(&login.access)).await
}

/// A member of staff, signed in; nothing of it is left in the outbox.
async fn boss(api: &Api) -> Login {
    api.client.register("boss").await.expect(201);
    api.execute("UPDATE users SET is_staff = true").await;
    let boss = api.client.log_in("boss").await;
    api.forget_events().await;
    boss
}

/// Records `values`, each `(number, more columns)` of which the number makes the id: the greater is the newer.
async fn record(api: &Api, columns: &str, values: &str) {
    let statement = format!(
        "INSERT INTO audit.events (event_id, occurred_at, type, outcome, body{columns})
         SELECT {}, timestamptz '2026-11-28 10:00Z' + number * interval '1 second', given.*
         FROM (VALUES {values}) AS numbered (number, type, outcome, body{columns})
         CROSS JOIN LATERAL (SELECT type, outcome, body{columns}) AS given",
        id_of("number")
    );
    sqlx::query(AssertSqlSafe(statement)).execute(api.database.pool()).await.unwrap();
}

/// The id of a number, as SQL.
fn id_of(number: &str) -> String {
    format!("audit.id_at(timestamptz '2026-11-28 10:00Z' + {number} * interval '1 second')")
}

/// The types that a page shows.
fn types(answer: &Answer) -> Vec<&str> {
    answer.body.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

/// Where the next page is.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_prefix('<')?;
    Some(link.split_once('>').unwrap().0.to_owned())
}

#[tokio::test]
async fn staff_sees_events_newest_first_with_their_bodies_and_is_seen_reading() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    record(
        &api,
        "",
        r#"(1, 'a.old', 'success', '{"n": 1.0}'), (2, 'a.new', 'failure', '{"z":1,"a":{"b":[]}}')"#,
    )
    .await;
    api.execute(
        "UPDATE audit.events SET sequence = 42, user_id = 7, username = 'ada', jti = 'j', ip = '2001:db8::1', user_agent = 'curl',
             session_id = '018f0000-0000-7000-8000-000000000001', reason = 'why', recorded_at = '2026-11-28 10:00:03Z',
             request_id = '018f0000-0000-4000-8000-000000000002', trace_id = '0af7651916cd43dd8448eb211c80319c'
         WHERE type = 'a.new'",
    )
    .await;
    let answer = get(&api, &format!("{PATH}?outcome=failure"), &boss).await.expect(200);
    let mut shown = answer.body[0].clone();
    assert!(shown["event_id"].take().as_str().unwrap().ends_with("-0000-0000-000000000000"));
    assert_eq!(
        shown,
        json!({
            "event_id": null,
            "type": "a.new",
            "occurred_at": "2026-11-28T10:00:02Z",
            "recorded_at": "2026-11-28T10:00:03Z",
            "sequence": 42,
            "user_id": 7,
            "username": "ada",
            "session_id": "018f0000-0000-7000-8000-000000000001",
            "jti": "j",
            "ip": "2001:db8::1",
            "user_agent": "curl",
            "outcome": "failure",
            "reason": "why",
            "request_id": "018f0000-0000-4000-8000-000000000002",
            "trace_id": "0af7651916cd43dd8448eb211c80319c",
            "body": { "z": 1, "a": { "b": [] } },
        })
    );
    let both = get(&api, PATH, &boss).await.expect(200);
    assert_eq!((types(&both), both.header("link")), (vec!["a.new", "a.old"], ""));
    let told = api.events().await;
    let read = |filters: Value, rows: i64| json!({ "actor_id": boss.user_id, "actor": "boss", "filters": filters, "rows": rows });
    let told: Vec<_> = told
        .into_iter()
        .map(|(name, data)| {
            assert_eq!(name, "operator.trail.read");
            assert!(data["ip"].is_string() && data["request_id"].is_string() && data["session_id"].is_string(), "{data}");
            json!({ "actor_id": data["actor_id"], "actor": data["actor"], "filters": data["filters"], "rows": data["rows"] })
        })
        .collect();
    assert_eq!(told, [read(json!({ "outcome": "failure" }), 1), read(json!({}), 2)]);
}

/// Each filter has an event that fits it and one that almost does.
#[tokio::test]
async fn every_filter_leaves_out_what_does_not_fit() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    record(
        &api,
        ", user_id, username, session_id, ip, request_id, trace_id",
        "(1, 'fits', 'failure', '{}', 7, 'ada', '018f0000-0000-7000-8000-000000000001'::uuid, '192.0.2.1'::inet,
             '018f0000-0000-4000-8000-000000000001'::uuid, '0af7651916cd43dd8448eb211c80319c'),
         (2, 'almost', 'success', '{}', 77, 'Ada', '018f0000-0000-7000-8000-000000000002', '192.0.2.11',
             '018f0000-0000-4000-8000-000000000002', '0af7651916cd43dd8448eb211c80319d'),
         (3, 'nothing', 'success', '{}', NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    .await;
    for filter in [
        "type=fits",
        "user_id=7",
        "username=ada",
        "session_id=018f0000-0000-7000-8000-000000000001",
        "ip=192.0.2.1",
        "outcome=failure",
        "request_id=018f0000-0000-4000-8000-000000000001",
        "trace_id=0af7651916cd43dd8448eb211c80319c",
        "until=2026-11-28T10:00:02Z",
        "user_id=7&type=fits",
        "session_id=018f0000-0000-7000-8000-000000000001&user_id=7&username=ada&ip=192.0.2.1&outcome=failure",
    ] {
        let answer = get(&api, &format!("{PATH}?{filter}"), &boss).await.expect(200);
        assert_eq!(types(&answer), ["fits"], "{filter}");
    }
    for filter in
        ["user_id=7&type=almost", "session_id=018f0000-0000-7000-8000-000000000001&user_id=77", "username=ad"]
    {
        let answer = get(&api, &format!("{PATH}?{filter}"), &boss).await.expect(200);
        assert_eq!(types(&answer), Vec::<&str>::new(), "{filter}");
    }
    let answer =
        get(&api, &format!("{PATH}?since=2026-11-28T12:00:02%2B02:00&until=2026-11-28T10:00:03Z"), &boss)
            .await;
    assert_eq!(types(&answer.expect(200)), ["almost"], "since counts, until does not");
}

#[tokio::test]
async fn pages_follow_by_links_that_keep_the_filters_and_lose_nothing() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    let statement = format!(
        "INSERT INTO audit.events (event_id, occurred_at, type, outcome, username, body)
         SELECT {}, now(), 'n' || n, 'success', CASE WHEN n % 2 = 0 THEN 'a&b ü' END, '{{}}' FROM generate_series(1, 14) AS n",
        id_of("n")
    );
    sqlx::query(AssertSqlSafe(statement)).execute(api.database.pool()).await.unwrap();
    let mut path = format!("{PATH}?limit=3&username=a%26b+%C3%BC");
    let mut pages: Vec<Vec<String>> = Vec::new();
    loop {
        let page = get(&api, &path, &boss).await.expect(200);
        pages.push(types(&page).into_iter().map(str::to_owned).collect());
        // What comes meanwhile moves nothing to another page.
        record(&api, ", username", &format!("({}, 'late', 'success', '{{}}', 'a&b ü')", 20 + pages.len()))
            .await;
        match next(&page) {
            Some(next) => path = next,
            None => break,
        }
    }
    assert_eq!(pages, [vec!["n14", "n12", "n10"], vec!["n8", "n6", "n4"], vec!["n2"]]);
    let cursors: Vec<_> =
        api.events().await.into_iter().map(|(_, data)| data["cursor"].is_string()).collect();
    assert_eq!(cursors, [false, true, true]);
}

/// Goes red when a request with a filter that has no index reads on until it finds something.
#[tokio::test]
async fn a_request_looks_at_so_many_events_and_says_where_to_look_on() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    let statement = format!(
        "INSERT INTO audit.events (event_id, occurred_at, type, outcome, username, body)
         SELECT {}, now(), 'n', 'success', CASE n WHEN 1 THEN 'needle' WHEN 2 THEN 'edge' END, '{{}}'
         FROM generate_series(1, 10001) AS n",
        id_of("n")
    );
    sqlx::query(AssertSqlSafe(statement)).execute(api.database.pool()).await.unwrap();
    let edge = get(&api, &format!("{PATH}?username=edge"), &boss).await.expect(200);
    assert_eq!(types(&edge), ["n"], "the last one that is looked at");
    let empty = get(&api, &format!("{PATH}?username=needle"), &boss).await.expect(200);
    assert_eq!(types(&empty), Vec::<&str>::new());
    let found = get(&api, &next(&empty).unwrap(), &boss).await.expect(200);
    assert_eq!((types(&found), next(&found)), (vec!["n"], None));
}

#[tokio::test]
async fn nobody_else_sees_the_trail_and_each_try_is_told() {
    let api = Api::start().await;
    boss(&api).await;
    let ada = api.client.join("ada").await;
    api.forget_events().await;
    for path in [PATH.to_owned(), format!("{PATH}?limit=x")] {
        let answer = get(&api, &path, &ada).await.expect(403);
        assert_eq!(answer.body, json!({ "detail": "You do not have permission to perform this action." }));
    }
    send(api.client.request(Method::GET, PATH)).await.expect(401);
    let told: Vec<_> = api
        .events()
        .await
        .into_iter()
        .map(|(name, data)| json!([name, data["reason"], data["object"]]))
        .collect();
    assert_eq!(told, vec![json!(["auth.access.denied", "not_staff", "audit/events"]); 2]);
}

#[tokio::test]
async fn what_can_not_be_read_is_said_field_by_field_and_nothing_is_told() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    let answer =
        get(&api, &format!("{PATH}?user_id=x&ip=1&since=yesterday&username=%00"), &boss).await.expect(400);
    let fields: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 4, "{}", answer.body);
    let cursor = get(&api, &format!("{PATH}?cursor=1"), &boss).await.expect(400);
    assert_eq!(cursor.body, json!({ "cursor": ["Invalid cursor."] }));
    assert_eq!(api.event_types().await, Vec::<String>::new());
}

/// A reader who would not be seen sees nothing.
#[tokio::test]
async fn a_read_that_can_not_be_told_shows_nothing() {
    let api = Api::start().await;
    let boss = boss(&api).await;
    record(&api, "", "(1, 'secret', 'success', '{}')").await;
    api.execute("ALTER TABLE outbox ADD CONSTRAINT mute CHECK (routing_key <> 'operator.trail.read')").await;
    let answer = get(&api, PATH, &boss).await.expect(500);
    assert!(!answer.body.to_string().contains("secret"), "{}", answer.body);
}
