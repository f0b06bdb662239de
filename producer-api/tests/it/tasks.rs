//! Making tasks and listing the last four.

use serde_json::json;

use crate::harness::Api;
use crate::policies::wait_for_a_waiter;

#[tokio::test]
async fn a_task_is_answered_as_drf_writes_it_and_told() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let answer = api.client.create_task_lasting(&login, "  Dig a burrow ", "5400").await.expect(201);
    let at = "2026-11-18T11:06:40.000000Z";
    let task = json!({ "id": 1, "title": "Dig a burrow", "duration": "01:30:00", "created_at": at, "updated_at": at, "version": 1 });
    assert_eq!(answer.body, task);
    let events = api.events().await;
    assert_eq!(events[0].0, "task.created");
    assert_eq!(events[0].1["task"]["duration_microseconds"], 5_400_000_000_i64);
    assert_eq!(events[0].1["username"], "froggly");
}

#[tokio::test]
async fn the_list_is_the_callers_last_four_newest_first_stable_on_ties() {
    let api = Api::start().await;
    let other = api.client.join("other").await;
    api.client.create_task(&other, "not mine").await.expect(201);
    let login = api.client.join("froggly").await;
    assert_eq!(api.client.tasks(&login).await.expect(200).body, json!([]));
    for title in ["one", "two", "three", "four", "five"] {
        // All in one instant: the clock stands.
        api.client.create_task(&login, title).await.expect(201);
    }
    let list = api.client.tasks(&login).await.expect(200);
    let titles: Vec<_> = list.body.as_array().unwrap().iter().map(|task| task["title"].clone()).collect();
    assert_eq!(titles, ["five", "four", "three", "two"]);
}

#[tokio::test]
async fn a_title_and_a_positive_duration_are_needed() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let required = "This field is required.";
    let format = "Duration has wrong format. Use one of these formats instead: [DD] [HH:[MM:]]ss[.uuuuuu].";
    for (body, expected) in [
        (json!({}), json!({ "title": [required], "duration": [required] })),
        (
            json!({ "title": "", "duration": null }),
            json!({ "title": ["This field may not be blank."], "duration": ["This field may not be null."] }),
        ),
        (
            json!({ "title": [], "duration": {} }),
            json!({ "title": ["Not a valid string."], "duration": [format] }),
        ),
        (json!({ "title": "x", "duration": "soon" }), json!({ "duration": [format] })),
        (json!({ "title": "x", "duration": " 5" }), json!({ "duration": [format] })),
        (
            json!({ "title": "x", "duration": "" }),
            json!({ "duration": ["Ensure this value is greater than zero."] }),
        ),
        (
            json!({ "title": "x", "duration": "0" }),
            json!({ "duration": ["Ensure this value is greater than zero."] }),
        ),
        (
            json!({ "title": "x".repeat(201), "duration": "1" }),
            json!({ "title": ["Ensure this field has no more than 200 characters."] }),
        ),
        (
            json!({ "title": "a\u{0}b", "duration": "1" }),
            json!({ "title": ["Null characters are not allowed."] }),
        ),
    ] {
        let request =
            api.client.request(reqwest::Method::POST, "/api/tasks/").bearer_auth(&login.access).json(&body);
        assert_eq!(test_support::api::send(request).await.expect(400).body, expected, "{body}");
    }
}

/// Goes red when a title is counted in bytes, or when its last character is refused.
#[tokio::test]
async fn a_title_has_200_characters_at_most_whatever_they_are() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    for (title, status) in
        [("x".repeat(200), 201), ("é".repeat(200), 201), ("🐇".repeat(200), 201), ("é".repeat(201), 400)]
    {
        let answer = api.client.create_task(&login, &title).await.expect(status);
        if status == 201 {
            assert_eq!(answer.text("title"), title);
        }
    }
}

/// Goes red when the row of a user who was there a moment ago is taken for granted.
#[tokio::test]
async fn a_task_made_while_its_account_is_deleted_is_refused_as_a_token_of_nobody() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    api.forget_events().await;
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("DELETE FROM users").execute(&mut *holder).await.unwrap();
    let (client, froggly) = (api.client.clone(), login.clone());
    let making = tokio::spawn(async move { client.create_task(&froggly, "Dig").await });
    wait_for_a_waiter(api.database.pool()).await;
    holder.commit().await.unwrap();
    let answer = making.await.unwrap().expect(401);
    assert_eq!(answer.body, json!({ "detail": "User not found", "code": "user_not_found" }));
    assert_eq!(answer.body, api.client.tasks(&login).await.expect(401).body, "as for any token of his");
    assert_eq!(api.events().await, vec![]);
}
