//! Turning the pages of one's tasks.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Login, send};

use crate::harness::Api;

async fn get(api: &Api, path: &str, login: &Login) -> Answer {
    send(api.client.request(Method::GET, path).bearer_auth(&login.access)).await
}

fn ids(answer: &Answer) -> Vec<i64> {
    answer.body.as_array().unwrap().iter().map(|task| task["id"].as_i64().unwrap()).collect()
}

/// Where `Link` says the next page is.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.headers.get("link")?.to_str().unwrap();
    let path = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
    Some(path.to_owned())
}

/// So many tasks, three to an instant.
async fn plant(api: &Api, login: &Login, tasks: i32) {
    sqlx::query(
        "INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
         SELECT $1, n::text, '1h', $2::timestamptz + n / 3 * interval '1 microsecond', $2
         FROM generate_series(1, $3) AS n",
    )
    .bind(login.user_id)
    .bind(api.now())
    .bind(tasks)
    .execute(api.database.pool())
    .await
    .unwrap();
}

/// Row G03 of `auth-audit.md`, section E, for all the pages; for the last four see `tasks`.
#[tokio::test]
async fn pages_hold_ones_own_tasks_each_once_newest_first_whatever_is_made_and_deleted_meanwhile() {
    let api = Api::start().await;
    let other = api.client.join("other").await;
    let login = api.client.join("froggly").await;
    plant(&api, &other, 5).await;
    plant(&api, &login, 23).await;
    for limit in [1, 4, 7, 22, 23, 100] {
        let (mut seen, mut path) = (Vec::new(), format!("/api/tasks/?limit={limit}"));
        loop {
            let page = get(&api, &path, &login).await.expect(200);
            assert!((1..=limit).contains(&ids(&page).len()), "a next page is told of only if there is one");
            seen.extend(ids(&page));
            let Some(link) = next(&page) else { break };
            assert_eq!(ids(&page).len(), limit, "only the last page may be short");
            path = link;
        }
        assert_eq!(seen, (6..=28).rev().collect::<Vec<_>>(), "{limit}");
    }
    // Four to a page unless asked, and the list says that there is more.
    let first = get(&api, "/api/tasks/", &login).await.expect(200);
    assert_eq!(ids(&first), [28, 27, 26, 25]);
    let second = next(&first).unwrap();
    assert!(second.starts_with("/api/tasks/?limit=4&cursor="), "a path alone: {second}");
    api.client.create_task(&login, "new").await.expect(201);
    // The very task at which the page ended is gone, and one of the next page.
    api.execute("DELETE FROM tasks WHERE id IN (25, 23)").await;
    assert_eq!(ids(&get(&api, &second, &login).await.expect(200)), [24, 22, 21, 20]);
    let head = send(api.client.request(Method::HEAD, "/api/tasks/?limit=2").bearer_auth(&login.access)).await;
    assert!(head.status == 200 && next(&head).is_some() && head.body == Value::Null);
}

#[tokio::test]
async fn a_cursor_of_another_and_a_made_up_one_open_nothing() {
    let api = Api::start().await;
    let (froggly, thief) = (api.client.join("froggly").await, api.client.join("thief").await);
    plant(&api, &froggly, 9).await;
    plant(&api, &thief, 2).await;
    let path = next(&get(&api, "/api/tasks/", &froggly).await).unwrap();
    // The place is between tasks of both; hers are all that she sees.
    let page = get(&api, &path, &thief).await.expect(200);
    assert_eq!(ids(&page), [11, 10]);
    assert_eq!(next(&page), None);
    for (query, field, text) in [
        ("limit=0", "limit", "A number from 1 to 100 is required."),
        ("limit=101", "limit", "A number from 1 to 100 is required."),
        ("limit=-1", "limit", "A number from 1 to 100 is required."),
        ("limit=1e1", "limit", "A number from 1 to 100 is required."),
        ("limit=", "limit", "A number from 1 to 100 is required."),
        ("limit=99999999999999999999", "limit", "A number from 1 to 100 is required."),
        ("limit=2&limit=x", "limit", "A number from 1 to 100 is required."),
        ("cursor=", "cursor", "Invalid cursor."),
        ("cursor=1", "cursor", "Invalid cursor."),
        ("cursor=__________________________", "cursor", "Invalid cursor."),
        // The greatest instant and id that fit into the bytes.
        ("cursor=f_________9__________w", "cursor", "Invalid cursor."),
        ("cursor=' OR 1=1 --", "cursor", "Invalid cursor."),
        ("cursor=%00", "cursor", "Invalid cursor."),
        ("cursor=%ff", "cursor", "Invalid cursor."),
    ] {
        let answer = get(&api, &format!("/api/tasks/?{query}"), &froggly).await.expect(400);
        assert_eq!(answer.body, json!({ field: [text] }), "{query}");
    }
    let both = get(&api, "/api/tasks/?cursor=x&limit=0", &froggly).await.expect(400);
    assert_eq!(both.body.as_object().unwrap().len(), 2);
    // The last of several counts, and what nobody asked for is ignored.
    assert_eq!(ids(&get(&api, "/api/tasks/?limit=9&limit=2&page=3", &froggly).await.expect(200)), [9, 8]);
    // The Host that a client names is not repeated.
    let request = api.client.request(Method::GET, "/api/tasks/").bearer_auth(&froggly.access);
    let answer =
        send(request.header("host", "evil.example").header("x-forwarded-host", "evil.example")).await;
    assert!(next(&answer).unwrap().starts_with("/api/tasks/?"));
}

#[tokio::test]
async fn options_tells_what_may_be_done_with_a_task() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let ask = api.client.request(Method::OPTIONS, "/api/tasks/1/").bearer_auth(&login.access);
    let answer = send(ask).await.expect(200);
    assert_eq!(answer.header("allow"), "GET, PUT, PATCH, DELETE, HEAD, OPTIONS");
    assert_eq!(answer.body["actions"]["PUT"]["title"]["required"], true);
    assert_eq!(answer.body["actions"]["PUT"]["duration"]["read_only"], true);
    send(api.client.request(Method::POST, "/api/tasks/1/").bearer_auth(&login.access)).await.expect(405);
    send(api.client.request(Method::GET, "/api/tasks/1/")).await.expect(401);
}
