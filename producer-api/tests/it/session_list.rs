//! The list of one's sessions, and ending them from another place.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Client, Login, send};

use crate::harness::{Api, claims_of, refused, refused_access};

async fn ask(client: &Client, method: Method, path: &str, login: &Login) -> Answer {
    send(client.request(method, path).bearer_auth(&login.access)).await
}

async fn list(api: &Api, login: &Login) -> Vec<Value> {
    let answer = ask(&api.client, Method::GET, "/api/sessions/", login).await.expect(200);
    answer.body.as_array().unwrap().clone()
}

async fn end(api: &Api, login: &Login, session: &str) -> Answer {
    ask(&api.client, Method::DELETE, &format!("/api/sessions/{session}/"), login).await
}

fn session_of(login: &Login) -> String {
    claims_of(&login.access)["sid"].as_str().unwrap().to_owned()
}

async fn unlimited() -> Api {
    Api::start_with(&[("SESSION_POLICY", "unlimited")]).await
}

/// A staff member and an ordinary user, signed in.
async fn staff_and_user(api: &Api) -> (Login, Login) {
    api.client.register("boss").await.expect(201);
    api.execute("UPDATE users SET is_staff = true WHERE username = 'boss'").await;
    (api.client.log_in("boss").await, api.client.join("froggly").await)
}

#[tokio::test]
async fn one_sees_ones_own_active_sessions_newest_first_and_which_is_this_one() {
    let api = unlimited().await;
    api.client.join("another").await;
    let first = api.client.join("froggly").await;
    api.advance(1);
    let ended = api.client.log_in("froggly").await;
    api.advance(1);
    let last = api.client.log_in("froggly").await;
    api.client.log_out(&ended).await.expect(200);
    let sessions = list(&api, &first).await;
    let shown: Vec<_> =
        sessions.iter().map(|session| (session["id"].as_str().unwrap(), &session["is_current"])).collect();
    assert_eq!(
        shown,
        [(session_of(&last).as_str(), &json!(false)), (session_of(&first).as_str(), &json!(true))]
    );
    assert_eq!(
        sessions[0],
        json!({
            "id": session_of(&last),
            "user_id": last.user_id,
            "login_time": api.now(),
            "ip": "127.0.0.1",
            "user_agent": "warren-tests/1.0",
            "is_current": false,
        })
    );
}

#[tokio::test]
async fn one_ends_ones_own_sessions_this_one_included() {
    let api = unlimited().await;
    let first = api.client.join("froggly").await;
    let second = api.client.log_in("froggly").await;
    for ended in [&second, &first] {
        api.forget_events().await;
        let answer = end(&api, &first, &session_of(ended)).await.expect(204);
        assert_eq!(answer.body, Value::Null);
        assert_eq!(api.event_types().await, ["auth.session.ended", "auth.token.blacklisted"]);
        let told = api.events().await[0].1.clone();
        assert_eq!(
            (&told["reason"], &told["session_id"]),
            (&json!("user_revoked"), &json!(session_of(ended)))
        );
        assert_eq!(told["actor_id"], Value::Null);
        assert_eq!(api.client.tasks(ended).await.expect(401).body, refused_access("Token is blacklisted"));
        assert_eq!(
            api.client.refresh(&ended.refresh).await.expect(401).body,
            refused("Token is blacklisted")
        );
    }
    assert_eq!(end(&api, &first, &session_of(&first)).await.status, 401, "whoever ended his own is out");
}

#[tokio::test]
async fn anothers_session_is_not_found_and_the_try_is_told() {
    let api = unlimited().await;
    let (owner, thief) = (api.client.join("froggly").await, api.client.join("thief").await);
    api.forget_events().await;
    let session = session_of(&owner);
    let answer = end(&api, &thief, &session).await.expect(404);
    let missing = end(&api, &thief, "01939a0e-0000-7000-8000-000000000000").await.expect(404);
    assert_eq!(answer.body, missing.body, "whether it is there is not said");
    assert_eq!(api.events().await, vec![], "each alone is no event");
    api.state.denied_objects.tell(&api.state.database, &api.state.outbox).await.unwrap();
    let events = api.events().await;
    assert_eq!(events.len(), 1, "{events:?}");
    let (name, told) = &events[0];
    assert_eq!(name, "auth.access.denied");
    assert_eq!(
        (&told["reason"], &told["object"], &told["username"], &told["count"]),
        (&json!("not_owner"), &json!(format!("sessions/{session}")), &json!("thief"), &json!(1))
    );
    api.client.tasks(&owner).await.expect(200);
    api.client.refresh(&owner.refresh).await.expect(200);
}

#[tokio::test]
async fn staff_sees_and_ends_anybodys_and_the_trail_knows_who_did() {
    let api = unlimited().await;
    let (staff, user) = staff_and_user(&api).await;
    let path = format!("/api/sessions/?user_id={}", user.user_id);
    let sessions = ask(&api.client, Method::GET, &path, &staff).await.expect(200);
    assert_eq!(sessions.body[0]["id"], session_of(&user));
    assert_eq!(
        (sessions.body.as_array().unwrap().len(), &sessions.body[0]["is_current"]),
        (1, &json!(false))
    );
    let nobody = ask(&api.client, Method::GET, "/api/sessions/?user_id=999", &staff).await.expect(200);
    assert_eq!(nobody.body, json!([]));
    api.forget_events().await;
    end(&api, &staff, &session_of(&user)).await.expect(204);
    assert_eq!(api.event_types().await, ["auth.session.ended", "auth.token.blacklisted"]);
    let told = api.events().await[0].1.clone();
    assert_eq!(
        (&told["reason"], &told["actor_id"], &told["user_id"]),
        (&json!("staff_revoked"), &json!(staff.user_id), &json!(user.user_id))
    );
    api.client.tasks(&user).await.expect(401);
    api.client.tasks(&staff).await.expect(200);
    end(&api, &staff, &session_of(&staff)).await.expect(204);
    assert_eq!(
        api.reasons("auth.session.ended").await,
        ["staff_revoked", "user_revoked"],
        "one's own is one's own"
    );
}

#[tokio::test]
async fn only_staff_may_ask_for_anothers_list_and_rights_count_as_they_are_now() {
    let api = unlimited().await;
    let (staff, user) = staff_and_user(&api).await;
    let own = format!("/api/sessions/?user_id={}", user.user_id);
    ask(&api.client, Method::GET, &own, &user).await.expect(200);
    let others = format!("/api/sessions/?user_id={}", staff.user_id);
    api.forget_events().await;
    let answer = ask(&api.client, Method::GET, &others, &user).await.expect(403);
    assert_eq!(answer.body, json!({ "detail": "You do not have permission to perform this action." }));
    assert_eq!(answer.header("www-authenticate"), "", "a 403 is no challenge");
    let events = api.events().await;
    assert_eq!(events.len(), 1);
    let told = &events[0].1;
    let object = format!("users/{}/sessions", staff.user_id);
    assert_eq!((&told["reason"], &told["object"]), (&json!("not_staff"), &json!(object)));
    // With the same token: rights are the user's, not the token's.
    api.execute("UPDATE users SET is_staff = NOT is_staff").await;
    ask(&api.client, Method::GET, &others, &user).await.expect(200);
    ask(&api.client, Method::GET, &own, &staff).await.expect(403);
    assert_eq!(end(&api, &staff, &session_of(&user)).await.status, 404);
}

#[tokio::test]
async fn an_id_that_is_none_is_not_found_and_so_is_a_session_that_is_over() {
    let api = unlimited().await;
    let first = api.client.join("froggly").await;
    let second = api.client.log_in("froggly").await;
    api.client.log_out(&second).await.expect(200);
    api.forget_events().await;
    let over = session_of(&second);
    let long = "9".repeat(8_000);
    for id in [
        "0",
        "-1",
        "9223372036854775808",
        "1e3",
        "1%20OR%201=1",
        "%00",
        "%ff",
        "nothing",
        "..%2f..",
        &over,
        &long,
    ] {
        let answer = end(&api, &first, id).await.expect(404);
        assert_eq!(answer.body, json!({ "detail": "Not found." }), "{id}");
    }
    for of in ["", "abc", "1.5", "-", "99999999999999999999", "1%00"] {
        let answer =
            ask(&api.client, Method::GET, &format!("/api/sessions/?user_id={of}"), &first).await.expect(400);
        assert_eq!(answer.body, json!({ "user_id": ["A valid integer is required."] }), "{of}");
    }
    // Two of them: the last counts, as in a form; it is never taken for none.
    let twice = ask(&api.client, Method::GET, "/api/sessions/?user_id=1&user_id=999", &first).await;
    assert_eq!(twice.expect(403).body["detail"], "You do not have permission to perform this action.");
    assert_eq!(api.reasons("auth.access.denied").await, ["not_staff"]);
}

#[tokio::test]
async fn a_session_is_ended_once_by_many_at_once() {
    let api = unlimited().await;
    let (staff, user) = staff_and_user(&api).await;
    let second = api.client.log_in("froggly").await;
    api.forget_events().await;
    let path = format!("/api/sessions/{}/", session_of(&second));
    let tries = (0..20).map(|turn| {
        let (client, path) = (api.client.clone(), path.clone());
        let login = if turn % 2 == 0 { staff.clone() } else { user.clone() };
        tokio::spawn(async move { ask(&client, Method::DELETE, &path, &login).await.status })
    });
    let mut answers = Vec::new();
    for attempt in tries.collect::<Vec<_>>() {
        answers.push(attempt.await.unwrap());
    }
    answers.sort_unstable();
    assert_eq!(answers[0], 204);
    assert_eq!(answers[1..], [404; 19]);
    assert_eq!(api.events().await.len(), 2);
}

#[tokio::test]
async fn both_spellings_answer_and_say_which_methods_there_are() {
    let api = unlimited().await;
    let login = api.client.join("froggly").await;
    let session = session_of(&api.client.log_in("froggly").await);
    let one = format!("/api/sessions/{session}");
    for (path, allow, wrong) in [
        ("/api/sessions", "GET, HEAD, OPTIONS", Method::POST),
        (one.as_str(), "DELETE, OPTIONS", Method::GET),
    ] {
        for path in [path.to_owned(), format!("{path}/")] {
            let refused = api.client.get(&path).await.expect(401);
            assert_eq!(
                refused.body,
                json!({ "detail": "Authentication credentials were not provided." }),
                "{path}"
            );
            assert_eq!(refused.header("www-authenticate"), r#"Bearer realm="api""#, "{path}");
            assert_eq!(refused.header("allow"), allow, "{path}");
            let answer = ask(&api.client, wrong.clone(), &path, &login).await.expect(405);
            assert_eq!((answer.header("allow"), answer.header("www-authenticate")), (allow, ""), "{path}");
            let options = ask(&api.client, Method::OPTIONS, &path, &login).await.expect(200);
            assert_eq!(options.header("allow"), allow, "{path}");
        }
    }
    let head = ask(&api.client, Method::HEAD, "/api/sessions", &login).await.expect(200);
    assert_eq!(head.body, Value::Null);
    ask(&api.client, Method::DELETE, &one, &login).await.expect(204);
    ask(&api.client, Method::DELETE, "/api/sessions//", &login).await.expect(404);
}
