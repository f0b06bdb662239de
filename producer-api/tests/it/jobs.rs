//! Schedules and runs as staff sees them and acts upon them over HTTP.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Login, send};

use crate::harness::Api;
use crate::policies::wait_for_a_waiter;

const SCHEDULES: &str = "/api/jobs/schedules/";
const RUNS: &str = "/api/jobs/runs/";

async fn get(api: &Api, path: &str, who: &Login) -> Answer {
    send(api.client.request(Method::GET, path).bearer_auth(&who.access)).await
}

async fn post(api: &Api, path: &str, who: &Login, body: Value) -> Answer {
    send(api.client.request(Method::POST, path).bearer_auth(&who.access).json(&body)).await
}

fn why() -> Value {
    json!({ "reason": "the printer is out of paper" })
}

/// A member of staff, signed in, and three schedules: `daily`, `hourly`, and `old`, which is retired.
async fn office() -> (Api, Login) {
    let api = Api::start().await;
    api.client.register("boss").await.expect(201);
    api.execute("UPDATE users SET is_staff = true").await;
    let boss = api.client.log_in("boss").await;
    api.execute(
        "INSERT INTO job_schedules (schedule_key, job_key, timetable, catch_up_max, catch_up_window_seconds, timeout_seconds,
             attempts_max, watermark, next_due_at, retired_at, created_at, updated_at)
         SELECT key, 'count', line, 1, 86400, 30, 3, date_trunc('hour', now()), date_trunc('hour', now()) + interval '1 hour',
             CASE key WHEN 'old' THEN now() END, now(), now()
         FROM (VALUES ('daily', '@daily'), ('hourly', '0 * * * *'), ('old', '@yearly')) AS given (key, line)",
    )
    .await;
    api.forget_events().await;
    (api, boss)
}

/// The query string or path of the next page.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_prefix('<')?;
    Some(link.split_once('>').unwrap().0.to_owned())
}

fn texts<'a>(answer: &'a Answer, member: &str) -> Vec<&'a str> {
    answer.body.as_array().unwrap().iter().map(|row| row[member].as_str().unwrap()).collect()
}

#[tokio::test]
async fn staff_sees_each_schedule_with_its_next_five_instants() {
    let (api, boss) = office().await;
    let list = get(&api, SCHEDULES, &boss).await.expect(200);
    assert_eq!(texts(&list, "schedule_key"), ["daily", "hourly"]);
    let hourly = &list.body[1];
    assert_eq!(
        (&hourly["timetable"], &hourly["time_zone"], &hourly["job_key"]),
        (&json!("0 * * * *"), &json!("UTC"), &json!("count"))
    );
    let next_five = hourly["next"].as_array().unwrap();
    assert!(next_five.len() == 5 && next_five.iter().all(|at| at.as_str().unwrap().ends_with(":00:00Z")));
    let all = get(&api, &format!("{SCHEDULES}?retired=true"), &boss).await.expect(200);
    assert_eq!(texts(&all, "schedule_key"), ["daily", "hourly", "old"]);
    assert_eq!(all.body[2]["next"], json!([]));

    api.execute(
        "INSERT INTO job_gaps (schedule_key, first_at, last_at, instants, reason, recorded_at)
         VALUES ('daily', '2026-11-01', '2026-11-03', 3, 'missed', now())",
    )
    .await;
    let shown = get(&api, &format!("{SCHEDULES}daily/"), &boss).await.expect(200).body;
    assert_eq!(
        shown["gaps"],
        json!([{ "first_at": "2026-11-01T00:00:00Z", "last_at": "2026-11-03T00:00:00Z", "instants": 3, "reason": "missed" }])
    );
    assert_eq!(shown["runs"], json!([]));
    for nobody in ["weekly", "%00", "%FF", "a%2Fb"] {
        get(&api, &format!("{SCHEDULES}{nobody}/"), &boss).await.expect(404);
        post(&api, &format!("{SCHEDULES}{nobody}/pause/"), &boss, why()).await.expect(404);
    }
}

#[tokio::test]
async fn the_lists_turn_their_pages_by_links_and_lose_nothing() {
    let (api, boss) = office().await;
    // Two runs at each instant: the id decides then.
    api.execute(
        "INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, args, attempts_max, timeout_seconds, run_after, queued_at)
         SELECT gen_random_uuid(), format('key %s & more', n % 2), 'count', date_trunc('day', now()) - n / 2 * interval '1 s', 'default', '{}',
             3, 30, now(), now()
         FROM generate_series(0, 119) AS n",
    )
    .await;
    api.execute(
        "INSERT INTO job_schedules (schedule_key, job_key, timetable, catch_up_max, catch_up_window_seconds, timeout_seconds,
             attempts_max, watermark, created_at, updated_at)
         SELECT format('job %s & more', to_char(n, 'FM000')), 'count', '@daily', 1, 1, 1, 1, now(), now(), now()
         FROM generate_series(1, 118) AS n",
    )
    .await;
    for (first, member, expected) in [
        (SCHEDULES.to_owned(), "schedule_key", 120),
        (format!("{SCHEDULES}?limit=7&retired=true"), "schedule_key", 121),
        (format!("{RUNS}?job_key=count"), "id", 120),
        (
            format!("{RUNS}?limit=7&job_key=count&schedule_key=key+1+%26+more&from=2026-01-01T00:00:00Z"),
            "id",
            60,
        ),
    ] {
        let (mut path, mut seen) = (Some(first.clone()), Vec::new());
        while let Some(page) = path {
            let answer = get(&api, &page, &boss).await.expect(200);
            seen.extend(texts(&answer, member).into_iter().map(str::to_owned));
            path = next(&answer);
        }
        let mut unique = seen.clone();
        unique.sort();
        unique.dedup();
        assert_eq!((seen.len(), unique.len()), (expected, expected), "{first}");
    }
    let exact = get(&api, &format!("{SCHEDULES}?limit=120"), &boss).await.expect(200);
    assert_eq!((exact.body.as_array().unwrap().len(), next(&exact)), (120, None));
    for (path, field) in [
        (format!("{SCHEDULES}?limit=0"), "limit"),
        (format!("{SCHEDULES}?retired=1"), "retired"),
        (format!("{RUNS}?limit=201"), "limit"),
        (format!("{RUNS}?cursor=x"), "cursor"),
        (format!("{RUNS}?state=lost"), "state"),
        (format!("{RUNS}?from=yesterday"), "from"),
    ] {
        let answer = get(&api, &path, &boss).await.expect(400);
        assert!(answer.body[field].is_array(), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_schedule_is_paused_and_resumed_and_the_trail_knows_by_whom_and_why() {
    let (api, boss) = office().await;
    let paused = post(&api, &format!("{SCHEDULES}daily/pause/"), &boss, why()).await.expect(200).body;
    assert_eq!(
        (&paused["paused_by"], &paused["paused_reason"]),
        (&json!("boss"), &json!("the printer is out of paper"))
    );
    let again = post(&api, &format!("{SCHEDULES}daily/pause/"), &boss, why()).await.expect(409);
    assert!(again.text("detail").contains("is paused already"), "{}", again.body);
    let resumed = post(&api, &format!("{SCHEDULES}daily/resume"), &boss, why()).await.expect(200).body;
    assert_eq!((&resumed["paused_at"], &resumed["paused_by"]), (&Value::Null, &Value::Null));
    post(&api, &format!("{SCHEDULES}daily/resume/"), &boss, why()).await.expect(409);

    let told = api.events().await;
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["operator.schedule.paused", "operator.schedule.resumed"]);
    for (name, data) in &told {
        let said = ["schedule_key", "job_key", "actor", "actor_id", "reason"].map(|member| &data[member]);
        let expected = [
            json!("daily"),
            json!("count"),
            json!("boss"),
            json!(boss.user_id),
            json!("the printer is out of paper"),
        ];
        assert_eq!(said, expected.each_ref(), "{name}");
        assert!(data["request_id"].is_string() && data["ip"].is_string(), "{name}: {data}");
    }
}

#[tokio::test]
async fn a_schedule_is_due_at_other_times_until_it_is_reset() {
    let (api, boss) = office().await;
    let path = format!("{SCHEDULES}daily/override/");
    let word = json!({ "timetable": "30 6 * * 1-5", "time_zone": "Europe/London", "reason": "office hours" });
    let shown = post(&api, &path, &boss, word).await.expect(200).body;
    assert_eq!(
        (&shown["timetable"], &shown["time_zone"], &shown["is_override"]),
        (&json!("30 6 * * 1-5"), &json!("Europe/London"), &json!(true))
    );
    let shown = post(&api, &format!("{SCHEDULES}daily/reset/"), &boss, why()).await.expect(200).body;
    assert_eq!(
        (&shown["timetable"], &shown["time_zone"], &shown["is_override"]),
        (&json!("@daily"), &json!("UTC"), &json!(false))
    );
    post(&api, &format!("{SCHEDULES}daily/reset/"), &boss, why()).await.expect(409);
    assert_eq!(api.event_types().await, ["operator.schedule.changed", "operator.schedule.changed"]);
    for (body, status, field) in [
        (json!({ "timetable": "often", "reason": "x" }), 400, "timetable"),
        (json!({ "time_zone": "Mars/Olympus", "reason": "x" }), 400, "time_zone"),
        (json!({ "timetable": "x".repeat(201), "reason": "x" }), 400, "timetable"),
        (json!({ "reason": "x" }), 400, "timetable"),
        (json!({ "timetable": "@hourly" }), 400, "reason"),
        (json!({ "timetable": "@hourly", "reason": "x".repeat(501) }), 400, "reason"),
        (json!({ "timetable": "0 0 30 2 *", "reason": "x" }), 409, "detail"),
    ] {
        let answer = post(&api, &path, &boss, body.clone()).await.expect(status);
        assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), [field], "{body}");
    }
    assert_eq!(api.event_types().await.len(), 2, "what was refused is not told");
}

#[tokio::test]
async fn a_job_is_run_now_canceled_and_replayed() {
    let (api, boss) = office().await;
    post(&api, &format!("{SCHEDULES}daily/pause/"), &boss, why()).await.expect(200);
    let run = post(&api, &format!("{SCHEDULES}daily/run/"), &boss, why()).await.expect(201).body;
    assert_eq!(
        ["state", "kind", "schedule_key", "creator"].map(|member| run[member].as_str().unwrap()),
        ["queued", "manual", "daily", "boss"]
    );
    let one = format!("{RUNS}{}/", run["id"].as_str().unwrap());
    let shown = get(&api, &one, &boss).await.expect(200).body;
    assert_eq!(shown["state"], "queued");
    let listed = get(&api, &format!("{RUNS}?kind=manual&state=queued"), &boss).await.expect(200);
    assert_eq!(texts(&listed, "id"), [run["id"].as_str().unwrap()]);

    let replayed = post(&api, &format!("{one}replay/"), &boss, why()).await.expect(409);
    assert!(replayed.text("detail").contains("only what has failed is replayed"), "{}", replayed.body);
    let canceled = post(&api, &format!("{one}cancel/"), &boss, why()).await.expect(200).body;
    assert_eq!((&canceled["state"], &canceled["error_kind"]), (&json!("failed"), &json!("canceled")));
    post(&api, &format!("{one}cancel/"), &boss, why()).await.expect(409);
    let replayed = post(&api, &format!("{one}replay/"), &boss, why()).await.expect(200).body;
    assert_eq!(replayed["state"], "queued");
    assert_eq!(
        api.event_types().await,
        [
            "operator.schedule.paused",
            "operator.run.requested",
            "job.run.failed",
            "operator.run.canceled",
            "operator.run.replayed"
        ]
    );
    assert_eq!(api.count("SELECT count(*) FROM outbox WHERE exchange = 'job.ticks'").await, 2);
    for nobody in ["018f0000-0000-7000-8000-000000000001", "7", "%00"] {
        get(&api, &format!("{RUNS}{nobody}/"), &boss).await.expect(404);
        post(&api, &format!("{RUNS}{nobody}/replay/"), &boss, why()).await.expect(404);
    }
    // What is retired is not run.
    post(&api, &format!("{SCHEDULES}old/run/"), &boss, why()).await.expect(409);
}

#[tokio::test]
async fn a_range_is_made_up_for_once() {
    let (api, boss) = office().await;
    let path = format!("{SCHEDULES}hourly/backfill/");
    let body = json!({ "from": "2026-11-01T00:00:00Z", "until": "2026-11-01T05:00:00+00:00", "pace_seconds": 60, "reason": "x" });
    let made = post(&api, &path, &boss, body.clone()).await.expect(200).body;
    assert_eq!(made, json!({ "runs": 6, "there_already": 0 }));
    let made = post(&api, &path, &boss, body).await.expect(200).body;
    assert_eq!(made, json!({ "runs": 0, "there_already": 6 }));
    let paced = "SELECT count(DISTINCT run_after) FROM job_runs WHERE kind = 'backfill'";
    assert_eq!(api.count(paced).await, 6);
    assert_eq!(api.event_types().await, ["operator.run.requested"; 6]);
    for (body, status, field) in [
        (json!({ "reason": "x" }), 400, "from"),
        (
            json!({ "from": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z", "reason": "x" }),
            400,
            "until",
        ),
        (
            json!({ "from": "1969-12-31T23:59:59Z", "until": "2026-11-01T00:00:00Z", "reason": "x" }),
            400,
            "from",
        ),
        (json!({ "from": "soon", "until": "2026-11-01T00:00:00Z", "reason": "x" }), 400, "from"),
        (
            json!({ "from": "2026-11-01T00:00:00Z", "until": "2026-11-01T00:00:00Z", "pace_seconds": -1, "reason": "x" }),
            400,
            "pace_seconds",
        ),
        (
            json!({ "from": "2026-11-01T00:00:00Z", "until": "2100-01-01T00:00:00Z", "reason": "x" }),
            409,
            "detail",
        ),
        (
            json!({ "from": "2000-01-01T00:00:00Z", "until": "2026-11-01T00:00:00Z", "reason": "x" }),
            409,
            "detail",
        ),
    ] {
        let answer = post(&api, &path, &boss, body.clone()).await.expect(status);
        assert!(!answer.body[field].is_null(), "{body}: {}", answer.body);
    }
}

#[tokio::test]
async fn nobody_else_sees_or_does_anything_and_each_try_is_told() {
    let (api, boss) = office().await;
    let froggly = api.client.join("froggly").await;
    let run = post(&api, &format!("{SCHEDULES}daily/run/"), &boss, why()).await.expect(201).body;
    let id = run["id"].as_str().unwrap();
    api.forget_events().await;
    let mut objects = Vec::new();
    for (method, object) in [
        (Method::GET, "jobs/schedules".to_owned()),
        (Method::GET, "jobs/schedules/daily".to_owned()),
        (Method::GET, "jobs/schedules/nobody".to_owned()),
        (Method::POST, "jobs/schedules/daily/pause".to_owned()),
        (Method::POST, "jobs/schedules/daily/resume".to_owned()),
        (Method::POST, "jobs/schedules/daily/override".to_owned()),
        (Method::POST, "jobs/schedules/daily/reset".to_owned()),
        (Method::POST, "jobs/schedules/daily/run".to_owned()),
        (Method::POST, "jobs/schedules/daily/backfill".to_owned()),
        (Method::GET, "jobs/runs".to_owned()),
        (Method::GET, format!("jobs/runs/{id}")),
        (Method::POST, format!("jobs/runs/{id}/replay")),
        (Method::POST, format!("jobs/runs/{id}/cancel")),
    ] {
        let path = format!("/api/{object}/");
        let ask = || api.client.request(method.clone(), &path);
        let answer = send(ask().bearer_auth(&froggly.access).json(&why())).await.expect(403);
        assert_eq!(answer.body, json!({ "detail": "You do not have permission to perform this action." }));
        send(ask().json(&why())).await.expect(401);
        objects.push(object);
    }
    let told = api.events().await;
    let told_objects: Vec<_> = told.iter().map(|(_, data)| data["object"].as_str().unwrap()).collect();
    assert_eq!(told_objects, objects);
    assert!(told.iter().all(|(name, data)| name == "auth.access.denied" && data["reason"] == "not_staff"));
}

/// The request waits for its body, or for a lock; meanwhile the account is staff's no more.
#[tokio::test]
async fn a_deed_holds_only_while_the_account_is_staff() {
    let (api, boss) = office().await;
    let mut transaction = api.database.pool().begin().await.unwrap();
    sqlx::query("UPDATE users SET is_staff = false").execute(&mut *transaction).await.unwrap();
    let client = api.client.clone();
    let path = format!("{SCHEDULES}daily/run/");
    let request = client.request(Method::POST, &path).bearer_auth(&boss.access).json(&why());
    let asked = tokio::spawn(async move { send(request).await });
    wait_for_a_waiter(api.database.pool()).await;
    transaction.commit().await.unwrap();
    asked.await.unwrap().expect(403);
    assert_eq!(api.count("SELECT count(*) FROM job_runs WHERE kind = 'manual'").await, 0);
    let told = api.events().await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].0.as_str(), &told[0].1["object"]),
        ("auth.access.denied", &json!("jobs/schedules/daily/run"))
    );
}

#[tokio::test]
async fn who_is_denied_is_told_of_whatever_he_sends_and_puts_no_texts_into_the_trail() {
    let (api, _) = office().await;
    let froggly = api.client.join("froggly").await;
    api.forget_events().await;
    let long = format!("{SCHEDULES}{}/pause/", "x".repeat(101));
    for path in [format!("{SCHEDULES}daily/pause/"), long] {
        let request = api.client.request(Method::POST, &path).bearer_auth(&froggly.access);
        send(request.header("content-type", "text/plain").body("{")).await.expect(403);
    }
    let told = api.events().await;
    let objects: Vec<_> = told.iter().map(|(_, data)| data["object"].as_str().unwrap()).collect();
    assert_eq!(objects, ["jobs/schedules/daily/pause", "jobs/schedules"]);
}
