//! Without a database: 503 and try again, never 401 and never 500.

use std::time::Duration;

use serde_json::json;
use shared::role::Role;
use sqlx::postgres::PgPoolOptions;
use test_support::TestDatabase;

use crate::harness::{Api, signed};

#[tokio::test]
async fn without_a_database_every_request_is_told_to_come_back_and_readyz_says_why() {
    let database = TestDatabase::create().await;
    // A port where nobody listens: bound, and given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nowhere = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(200))
        .connect_lazy(&format!("postgres://warren@127.0.0.1:{port}/warren"))
        .unwrap();
    let api = Api::start_over(database, nowhere).await;
    let later = api.now().timestamp() + 600;
    let claims = |kind: &str| format!(r#"{{"token_type":"{kind}","exp":{later},"jti":"a","user_id":"1"}}"#);
    let tasks =
        api.client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(signed(&claims("access")));
    let answers = [
        api.client.register("froggly").await,
        api.client.obtain_pair("froggly", "whatever it is").await,
        api.client.refresh(&signed(&claims("refresh"))).await,
        api.client.blacklist(&signed(&claims("refresh"))).await,
        test_support::api::send(tasks).await,
    ];
    for answer in answers {
        let answer = answer.expect(503);
        assert_eq!(answer.header("retry-after"), "5");
        assert_eq!(answer.body, json!({ "detail": "Service temporarily unavailable, try again later." }));
    }
    let ready = api.client.readyz().await.expect(503);
    assert_eq!(ready.text("status"), "not ready");
    assert_ne!(ready.body["checks"]["database"], "up");
    api.client.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_503_for_its_own_user_and_nothing_to_others() {
    let database = TestDatabase::create().await;
    let pool = shared::database::connect(&database.config_as(Role::ProducerApi), "producer-api").unwrap();
    let api = Api::start_over(database, pool).await;
    let other = api.client.join("other").await;
    api.client.register("froggly").await.expect(201);
    let mut holder = api.database.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE username = 'froggly' FOR UPDATE")
        .execute(&mut *holder)
        .await
        .unwrap();
    let login = tokio::spawn({
        let client = api.client.clone();
        async move { client.obtain_pair("froggly", test_support::api::PASSWORD).await }
    });
    api.client.tasks(&other).await.expect(200);
    let answer = login.await.unwrap().expect(503);
    assert_eq!(answer.header("retry-after"), "5");
    holder.rollback().await.unwrap();
    api.client.log_in("froggly").await;
}

/// A connection that was good a moment ago is not tried before it is lent. Goes red when what the server has ended is
/// answered with a 500, or is lent more than once.
#[tokio::test]
async fn connections_that_the_server_ends_cost_at_most_one_answer_each() {
    let database = TestDatabase::create().await;
    let config = database.config_as(Role::ProducerApi);
    let pool = shared::database::connect(&config, "producer-api").unwrap();
    let api = Api::start_over(database, pool).await;
    let login = api.client.join("froggly").await;
    for round in 0..5 {
        // As many connections as there may be.
        let crowd: Vec<_> = (0..20)
            .map(|_| {
                let (client, login) = (api.client.clone(), login.clone());
                tokio::spawn(async move { client.tasks(&login).await })
            })
            .collect();
        for one in crowd {
            one.await.unwrap().expect(200);
        }
        sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'producer-api'",
        )
        .execute(api.database.pool())
        .await
        .unwrap();
        let mut refused = 0;
        for turn in 0..20 {
            let answer = if turn % 2 == 0 {
                api.client.tasks(&login).await
            } else {
                api.client.create_task(&login, "Dig").await
            };
            match answer.status {
                200 | 201 => {}
                status => {
                    assert_eq!(status, 503, "{round} {turn} {}", answer.body);
                    refused += 1;
                }
            }
        }
        assert!(refused <= config.pool_max, "{refused}");
        api.client.tasks(&login).await.expect(200);
    }
}
