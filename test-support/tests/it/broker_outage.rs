//! RabbitMQ is down: users notice nothing, and nothing is lost.

use std::time::Duration;

use test_support::faults::PrivateRabbitmq;
use test_support::world::World;
use test_support::{TestDatabase, eventually, settled};
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_mins(3);

/// The facts that wait in the outbox; a tick of the scheduler is a command and never in the trail.
async fn outbox(database: &TestDatabase) -> Vec<Uuid> {
    sqlx::query_scalar("SELECT event_id FROM outbox WHERE exchange <> 'job.ticks' ORDER BY seq")
        .fetch_all(database.pool())
        .await
        .unwrap()
}

/// Goes red when a request waits for the broker, and when the relay deletes what it could not send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_answers_while_the_broker_is_stopped_and_every_row_arrives_once_it_is_back() {
    let mut rabbitmq = PrivateRabbitmq::start().await;
    let world = World::start_over(TestDatabase::create().await, rabbitmq.broker().await).await;
    let client = &world.client;
    client.register("grace").await.expect(201);
    settled(DEADLINE, "an empty outbox", 0, async || outbox(&world.database).await.len()).await;

    rabbitmq.stop().await;
    let login = client.join("ada").await;
    client.try_log_in("ada", "not her password").await.expect(401);
    client.create_task(&login, "carry on").await.expect(201);
    assert_eq!(client.tasks(&login).await.expect(200).body[0]["title"], "carry on");
    client.refresh(&login.refresh).await.expect(200);
    client.log_out(&login).await.expect(200);
    let kept = outbox(&world.database).await;
    assert!(
        kept.len() >= 7,
        "registered, logged in, failed, task, refreshed, logged out, blacklisted: {kept:?}"
    );
    eventually(DEADLINE, "the API to be ready and to say that the relay is not well", async || {
        let answer = client.readyz().await;
        let degraded = answer.status == 200 && answer.body["status"] == "degraded";
        (degraded && answer.body["checks"]["relay"] != "up").then_some(())
    })
    .await;
    let consumer = world.audit_consumer.client();
    eventually(DEADLINE, "the audit consumer to say that it is not ready", async || {
        (consumer.readyz().await.status == 503).then_some(())
    })
    .await;

    rabbitmq.start_again().await;
    settled(DEADLINE, "every kept event to be a row of the trail", kept.len(), async || {
        let arrived: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.events WHERE event_id = ANY($1)")
            .bind(&kept)
            .fetch_one(world.database.pool())
            .await
            .unwrap();
        usize::try_from(arrived).unwrap()
    })
    .await;
    settled(DEADLINE, "an empty outbox", 0, async || outbox(&world.database).await.len()).await;
    for program in [&world.producer_api, &world.audit_consumer, &world.scheduler] {
        let client = program.client();
        settled(DEADLINE, "every program to be ready", "ready".to_owned(), async || {
            client.readyz().await.text("status").to_owned()
        })
        .await;
    }
}
