//! Renaming and deleting tasks: what is answered, what is told, and that one can't touch what is another's.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use shared::contracts::ReceivedEnvelope;
use shared::contracts::tasks::{TaskFact, TaskState};
use shared::ids::{SessionId, TaskId, UserId};
use test_support::api::{Answer, Login, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Api, claims_of};
use crate::standings::EVER;
use crate::statements::Statements;

/// An API that remembers who is signed in, so that nothing but tasks is asked for.
async fn warm(names: &[&str]) -> (Api, Vec<Login>) {
    let api = Api::start_believing_for(EVER, &[]).await;
    let mut logins = Vec::new();
    for name in names {
        logins.push(api.client.join(name).await);
    }
    api.state.standings.follower().read_changes_once().await.unwrap();
    for login in &logins {
        api.client.tasks(login).await.expect(200);
    }
    (api, logins)
}

async fn ask(api: &Api, method: Method, path: &str, login: &Login, body: Option<Value>) -> Answer {
    let request = api.client.request(method, path).bearer_auth(&login.access);
    send(match body {
        Some(body) => request.json(&body),
        None => request,
    })
    .await
}

async fn task_of(api: &Api, login: &Login, title: &str) -> (i64, String) {
    let id = api.client.create_task(login, title).await.expect(201).body["id"].as_i64().unwrap();
    (id, format!("/api/tasks/{id}/"))
}

async fn events_as_they_lie(api: &Api) -> Vec<(i64, String)> {
    sqlx::query_as("SELECT seq, body FROM outbox WHERE exchange = 'task.events' ORDER BY seq")
        .fetch_all(api.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_task_is_shown_renamed_and_deleted_and_each_change_is_told_once() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let (id, path) = task_of(&api, &login, "Dig").await;
    let made = ask(&api, Method::GET, &path, &login, None).await.expect(200).body;
    assert_eq!(made, api.client.tasks(&login).await.expect(200).body[0]);
    api.forget_events().await;
    api.advance(60);
    for (method, title, version) in [(Method::PATCH, "Dig deeper", 2), (Method::PUT, " Rest ", 3)] {
        let answer = ask(&api, method, &path, &login, Some(json!({ "title": title }))).await.expect(200);
        let at = "2026-11-18T11:07:40.000000Z";
        let mut expected = made.clone();
        (expected["title"], expected["version"], expected["updated_at"]) =
            (json!(title.trim()), json!(version), json!(at));
        assert_eq!(answer.body, expected);
        assert_eq!(ask(&api, Method::GET, &path, &login, None).await.expect(200).body, expected);
    }
    let answer = ask(&api, Method::DELETE, &path, &login, None).await.expect(204);
    assert_eq!(answer.body, Value::Null);
    for method in [Method::GET, Method::DELETE] {
        ask(&api, method, &path, &login, None).await.expect(404);
    }
    ask(&api, Method::PATCH, &path, &login, Some(json!({ "title": "again" }))).await.expect(404);
    let told: Vec<_> = api
        .events()
        .await
        .into_iter()
        .map(|(name, data)| (name, data["task"]["title"].clone(), data["task"]["version"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            ("task.updated".to_owned(), json!("Dig deeper"), json!(2)),
            ("task.updated".to_owned(), json!("Rest"), json!(3)),
            ("task.deleted".to_owned(), json!("Rest"), json!(4)),
        ]
    );
    assert_eq!(api.events().await[2].1["task"]["id"], id);
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 0);
}

#[tokio::test]
async fn where_nothing_changes_there_is_no_new_version_and_no_event() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let (_, path) = task_of(&api, &login, "Dig").await;
    let made = ask(&api, Method::GET, &path, &login, None).await.expect(200).body;
    api.forget_events().await;
    api.advance(60);
    for body in [
        json!({}),
        json!({ "title": "Dig" }),
        json!({ "title": "  Dig\n" }),
        json!({ "duration": "01:00:00" }),
        json!({ "title": "Dig", "duration": 3600 }),
        json!({ "duration": "PT1H", "colour": "green" }),
    ] {
        let answer = ask(&api, Method::PATCH, &path, &login, Some(body.clone())).await.expect(200);
        assert_eq!(answer.body, made, "{body}");
    }
    assert_eq!(ask(&api, Method::PATCH, &path, &login, None).await.expect(200).body, made, "no body at all");
    assert_eq!(api.events().await, vec![]);
}

/// Row G02 of `auth-audit.md`, section E.
#[tokio::test]
async fn nothing_but_the_title_changes_and_another_duration_is_refused_with_its_reason() {
    let api = Api::start().await;
    let other = api.client.join("other").await;
    let login = api.client.join("froggly").await;
    let (_, path) = task_of(&api, &login, "Dig").await;
    let made = ask(&api, Method::GET, &path, &login, None).await.expect(200).body;
    api.forget_events().await;
    let fixed = json!({ "duration": ["A task's duration can't be changed."] });
    for method in [Method::PATCH, Method::PUT] {
        for duration in [json!("02:00:00"), json!(3601), json!("3600.000001"), json!("1 01:00:00")] {
            let body = json!({ "title": "never", "duration": duration });
            let answer = ask(&api, method.clone(), &path, &login, Some(body)).await.expect(400);
            assert_eq!(answer.body, fixed, "{duration}");
        }
    }
    let answer = ask(&api, Method::PATCH, &path, &login, Some(json!({ "duration": "2" }))).await.expect(400);
    assert_eq!(answer.body, fixed);
    for (body, field) in [
        (json!({ "title": "" }), "title"),
        (json!({ "title": null }), "title"),
        (json!({ "title": "x".repeat(201) }), "title"),
        (json!({ "title": "a\u{0}b" }), "title"),
        (json!({ "duration": "soon" }), "duration"),
        (json!({ "duration": null }), "duration"),
        (json!({ "duration": -1 }), "duration"),
    ] {
        let answer = ask(&api, Method::PATCH, &path, &login, Some(body.clone())).await.expect(400);
        assert!(answer.body[field].is_array(), "{body} {}", answer.body);
    }
    let answer = ask(&api, Method::PUT, &path, &login, Some(json!({}))).await.expect(400);
    assert_eq!(answer.body, json!({ "title": ["This field is required."] }));
    assert_eq!(ask(&api, Method::GET, &path, &login, None).await.expect(200).body, made);
    assert_eq!(api.events().await, vec![]);

    // Members that are not a client's are ignored: the title alone is bound.
    let body = json!({ "title": "Rest", "id": 999, "user": other.user_id, "user_id": other.user_id, "owner": "other",
        "created_at": "2000-01-01T00:00:00Z", "updated_at": "2000-01-01T00:00:00Z", "version": 99, "__proto__": {} });
    let answer = ask(&api, Method::PATCH, &path, &login, Some(body)).await.expect(200);
    let mut expected = made.clone();
    (expected["title"], expected["version"]) = (json!("Rest"), json!(2));
    assert_eq!(answer.body, expected);
    assert_eq!(api.client.tasks(&other).await.expect(200).body, json!([]));
    let form = api.client.request(Method::PATCH, &path).bearer_auth(&login.access).body("title=");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(form).await.expect(400).body, json!({ "title": ["This field may not be blank."] }));
}

/// Row G01 of `auth-audit.md`, section E: body, headers and statements are those of a missing task; that somebody tried is
/// counted, and told with the task's id.
#[tokio::test]
async fn anothers_task_is_as_good_as_none_and_the_tries_are_counted() {
    let (api, logins) = warm(&["froggly", "thief"]).await;
    let [owner, thief] = &logins[..] else { panic!("two logged in") };
    let (id, path) = task_of(&api, owner, "Dig").await;
    api.forget_events().await;
    let first_at = api.now();
    let statements = Statements::watch();
    for (method, body) in [
        (Method::GET, None),
        (Method::HEAD, None),
        (Method::PATCH, Some(json!({ "title": "mine" }))),
        (Method::PATCH, Some(json!({}))),
        (Method::PATCH, Some(json!({ "duration": "5" }))),
        (Method::PUT, Some(json!({ "title": "mine", "duration": "5" }))),
        // As in Django it is looked for before its fields are judged.
        (Method::PUT, Some(json!({ "title": "" }))),
        (Method::PATCH, Some(json!({ "title": "mine", "duration": "soon" }))),
        (Method::DELETE, None),
    ] {
        let told = |mut answer: Answer| {
            for header in ["date", "x-request-id"] {
                answer.headers.remove(header);
            }
            (answer.status, answer.headers, answer.body)
        };
        statements.take();
        let anothers = ask(&api, method.clone(), &path, thief, body.clone()).await;
        let for_anothers = statements.take();
        let missing = ask(&api, method.clone(), "/api/tasks/999999/", thief, body.clone()).await;
        let for_missing = statements.take();
        assert_eq!(anothers.status, StatusCode::NOT_FOUND, "{method} {body:?}");
        assert_eq!(told(anothers), told(missing));
        assert_eq!(for_anothers, for_missing, "{method} {body:?}");
        assert_eq!(for_anothers.len(), 1, "{for_anothers:?}");
        api.advance(1);
    }
    assert_eq!(api.events().await, vec![], "each alone is no event");
    api.state.denied_objects.tell(&api.state.database, &api.state.outbox).await.unwrap();
    let events = api.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    let (name, told) = &events[0];
    assert_eq!(name, "auth.access.denied");
    assert_eq!(
        (&told["reason"], &told["object"], &told["username"], &told["user_id"], &told["count"]),
        (
            &json!("not_owner"),
            &json!(format!("tasks/{id}")),
            &json!("thief"),
            &json!(thief.user_id),
            &json!(9)
        )
    );
    assert_eq!(told["session_id"], claims_of(&thief.access)["sid"]);
    assert_eq!(told["first_at"], json!(first_at));
    assert_eq!(api.client.tasks(owner).await.expect(200).body[0]["title"], "Dig");
}

/// Goes red when one user's tries keep those of others from being told with their names, or when a try is not counted.
#[tokio::test]
async fn who_tries_any_number_of_tasks_is_told_of_a_hundred_and_of_the_number_of_the_others() {
    let (api, logins) = warm(&["froggly", "thief", "other"]).await;
    let [owner, thief, other] = &logins[..] else { panic!("three logged in") };
    sqlx::query(
        "INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
         SELECT $1, 'Dig', '1h', now(), now() FROM generate_series(1, 103)",
    )
    .bind(owner.user_id)
    .execute(api.database.pool())
    .await
    .unwrap();
    api.forget_events().await;
    let tell = async || api.state.denied_objects.tell(&api.state.database, &api.state.outbox).await;
    for id in (1..=103).chain([1]) {
        ask(&api, Method::GET, &format!("/api/tasks/{id}/"), thief, None).await.expect(404);
    }
    ask(&api, Method::GET, "/api/tasks/103/", other, None).await.expect(404);
    // What can't be told is kept, and goes on being counted.
    api.execute("ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID").await;
    tell().await.unwrap_err();
    api.execute("ALTER TABLE outbox DROP CONSTRAINT full_disk").await;
    ask(&api, Method::DELETE, "/api/tasks/103/", thief, None).await.expect(404);
    tell().await.unwrap();
    let told: Vec<Value> = api.events().await.into_iter().map(|(_, data)| data).collect();
    let of = |login: &Login| told.iter().filter(|data| data["user_id"] == login.user_id).collect::<Vec<_>>();
    let (apart, together): (Vec<&Value>, Vec<&Value>) =
        of(thief).into_iter().partition(|data| data["object"].is_string());
    assert_eq!((apart.len(), together.len(), of(other).len(), told.len()), (100, 1, 1, 102));
    assert_eq!(of(other)[0]["object"], "tasks/103");
    assert_eq!((&together[0]["username"], &together[0]["reason"]), (&json!("thief"), &json!("not_owner")));
    assert_eq!(together[0]["session_id"], Value::Null, "it may be more than one");
    let counts = apart.iter().chain(&together).map(|data| data["count"].as_u64().unwrap());
    assert_eq!(counts.sum::<u64>(), 105);
}

/// Row G04 of `auth-audit.md`, section E.
#[tokio::test]
async fn what_can_be_no_id_is_404_without_a_question_to_the_database() {
    let (api, logins) = warm(&["froggly"]).await;
    let login = &logins[0];
    task_of(&api, login, "Dig").await;
    let statements = Statements::watch();
    for id in [
        "0",
        "-1",
        "+1",
        "9223372036854775808",
        "99999999999999999999999999",
        "1e3",
        "1.0",
        "0x1",
        "1%20OR%201=1",
        "1'%20OR%20'1'='1",
        "1;DROP%20TABLE%20tasks",
        "%00",
        "1%00",
        "%ff",
        "%",
        "..",
        "%2e%2e",
        "1%2f..",
        "null",
        "%D9%A1",
        "01939a0e-0000-7000-8000-000000000000",
        "{id}",
        &"1".repeat(10_000),
    ] {
        for (method, body) in
            [(Method::GET, None), (Method::PUT, Some(json!({ "title": "x" }))), (Method::DELETE, None)]
        {
            let answer = ask(&api, method.clone(), &format!("/api/tasks/{id}/"), login, body).await;
            // `..` is gone before it is sent.
            assert!([404, 405].contains(&answer.status), "{method} {id}: {}", answer.status);
            if answer.status == 404 {
                assert_eq!(answer.body, json!({ "detail": "Not found." }));
            }
        }
    }
    assert_eq!(statements.take(), Vec::<String>::new());
    // The largest that can be one is looked for; one that no server reads is refused before any of ours sees it.
    ask(&api, Method::GET, "/api/tasks/9223372036854775807/", login, None).await.expect(404);
    assert_eq!(statements.take().len(), 1);
    let huge = ask(&api, Method::GET, &format!("/api/tasks/{}/", "1".repeat(60_000)), login, None).await;
    assert!([404, 414, 431].contains(&huge.status), "{}", huge.status);
    let status = status_of_a_megabyte(&api, &login.access).await;
    assert!(status.is_none_or(|status| [404, 414, 431].contains(&status)), "{status:?}");
    assert_eq!(statements.take().len(), 0);
    assert_eq!(api.count("SELECT count(*) FROM tasks").await, 1);
}

/// What a path with an id of a megabyte is answered, which no client of ours can send; none if the connection is cut.
async fn status_of_a_megabyte(api: &Api, token: &str) -> Option<u16> {
    let host = api.client.base().strip_prefix("http://").unwrap().to_owned();
    let (mut reading, mut writing) = TcpStream::connect(&host).await.unwrap().into_split();
    let head = format!(
        "GET /api/tasks/{}/ HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n",
        "1".repeat(1_000_000)
    );
    // Refused in the middle of it, the rest is not taken any more.
    let sending = tokio::spawn(async move { writing.write_all(head.as_bytes()).await });
    let mut answer = Vec::new();
    let _ = reading.read_to_end(&mut answer).await;
    let _ = sending.await.unwrap();
    let line = String::from_utf8_lossy(&answer);
    line.split(' ').nth(1).map(|status| status.parse().unwrap())
}

#[tokio::test]
async fn twenty_renamings_at_once_make_twenty_versions_whose_events_are_in_their_order() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let (_, path) = task_of(&api, &login, "0").await;
    let replica = api.replica(&[]).await;
    let tries = (1..=20).map(|turn| {
        let client = if turn % 2 == 0 { api.client.clone() } else { replica.client.clone() };
        let request = client.request(Method::PATCH, &path).bearer_auth(&login.access);
        tokio::spawn(send(request.json(&json!({ "title": turn.to_string() }))))
    });
    let mut answered = Vec::new();
    for one in tries.collect::<Vec<_>>() {
        let answer = one.await.unwrap().expect(200);
        answered.push((answer.body["version"].as_i64().unwrap(), answer.text("title").to_owned()));
    }
    answered.sort_unstable();
    assert_eq!(
        answered.iter().map(|(version, _)| *version).collect::<Vec<_>>(),
        (2..=21).collect::<Vec<_>>()
    );
    let told: Vec<_> = api
        .events()
        .await
        .into_iter()
        .filter(|(name, _)| name == "task.updated")
        .map(|(_, data)| {
            (data["task"]["version"].as_i64().unwrap(), data["task"]["title"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(told, answered, "in the order of their sequences");
}

/// The event is put together by PostgreSQL: it must be what serde writes, whatever stands in a title.
#[tokio::test]
async fn an_event_that_its_statement_wrote_is_the_one_that_the_types_would_have_written() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let session: SessionId = claims_of(&login.access)["sid"].as_str().unwrap().parse().unwrap();
    api.forget_events().await;
    api.clock.advance(chrono::TimeDelta::microseconds(123_456));
    let titles = [
        "plain",
        r#"","task":null}"#,
        r#"\","sequence":"9"#,
        r"\u0000 \\ \n %s $1 ''; --",
        "tab\there, line\nthere, \u{1}\u{1f}\u{7f}\u{9b}",
        "\u{2028}\u{202e}\u{feff}😀é中\u{10ffff}",
        "{\"a\": [1, null]} ${} {{}}",
        "/</script>&amp;",
    ];
    for (place, title) in titles.iter().enumerate() {
        api.forget_events().await;
        let made = api.client.create_task_lasting(&login, title, "1 02:03:04.000005").await.expect(201).body;
        assert_eq!(made["title"], title.trim());
        let path = format!("/api/tasks/{}/", made["id"]);
        let again = titles[(place + 1) % titles.len()];
        let renamed =
            ask(&api, Method::PATCH, &path, &login, Some(json!({ "title": again }))).await.expect(200);
        ask(&api, Method::DELETE, &path, &login, None).await.expect(204);
        let mut gone = renamed.body.clone();
        gone["version"] = json!(3);
        let lying = events_as_they_lie(&api).await;
        assert_eq!(lying.len(), 3);
        for ((seq, body), (name, task)) in
            lying.iter().zip([("task.created", made), ("task.updated", renamed.body), ("task.deleted", gone)])
        {
            let envelope = ReceivedEnvelope::parse(body.as_bytes()).unwrap();
            assert_eq!((envelope.r#type.as_str(), envelope.sequence_number()), (name, Some(*seq)));
            assert_eq!(envelope.sequence.as_deref().map(str::len), Some(20));
            let raw: Value = serde_json::from_str(body).unwrap();
            assert_eq!(raw["subject"], format!("tasks/{}", task["id"]));
            let fact: TaskFact = envelope.data().unwrap();
            let at = |member: &str| task[member].as_str().unwrap().parse().unwrap();
            let state = TaskState {
                id: TaskId(task["id"].as_i64().unwrap()),
                title: task["title"].as_str().unwrap().to_owned(),
                duration_microseconds: 93_784_000_005,
                version: task["version"].as_i64().unwrap(),
                created_at: at("created_at"),
                updated_at: at("updated_at"),
            };
            assert_eq!(fact.task, state);
            assert_eq!((fact.user_id, fact.session_id), (UserId(login.user_id), Some(session)));
            assert_eq!(fact.username, login.username);
            assert!(
                body.contains(&format!(r#""task":{}"#, serde_json::to_string(&state).unwrap())),
                "{body}"
            );
            assert_eq!(
                serde_json::to_value(&fact).unwrap(),
                raw["data"],
                "nothing is added and nothing left out"
            );
        }
    }
}

/// The same for every character that there is.
#[tokio::test]
async fn postgresql_writes_every_character_as_serde_does() {
    let api = Api::start().await;
    let all: String = (1..=u32::from(char::MAX)).filter_map(char::from_u32).collect();
    let written: String =
        sqlx::query_scalar("SELECT row_to_json(task)::text FROM (SELECT $1 AS title) AS task")
            .bind(&all)
            .fetch_one(api.database.pool())
            .await
            .unwrap();
    let expected = serde_json::to_string(&json!({ "title": all })).unwrap();
    assert!(written == expected, "they differ at byte {:?}", first_difference(&written, &expected));
}

fn first_difference(one: &str, other: &str) -> Option<usize> {
    one.bytes().zip(other.bytes()).position(|(one, other)| one != other)
}

#[tokio::test]
async fn what_can_not_be_told_does_not_happen() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let (_, path) = task_of(&api, &login, "Dig").await;
    api.execute("ALTER TABLE outbox ADD CONSTRAINT full_disk CHECK (false) NOT VALID").await;
    api.client.create_task(&login, "never").await.expect(500);
    ask(&api, Method::PATCH, &path, &login, Some(json!({ "title": "never" }))).await.expect(500);
    ask(&api, Method::DELETE, &path, &login, None).await.expect(500);
    // What changes nothing has nothing to tell.
    ask(&api, Method::PATCH, &path, &login, Some(json!({ "title": "Dig" }))).await.expect(200);
    let tasks = api.client.tasks(&login).await.expect(200).body;
    assert_eq!(
        (tasks.as_array().unwrap().len(), &tasks[0]["title"], &tasks[0]["version"]),
        (1, &json!("Dig"), &json!(1))
    );
}
