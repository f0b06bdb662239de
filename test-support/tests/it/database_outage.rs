//! PostgreSQL is down: requests are refused in order, the probes say why, and nobody has to be restarted.

use std::time::Duration;

use test_support::api::{Answer, PASSWORD};
use test_support::faults::PrivatePostgres;
use test_support::programs::Program;
use test_support::world::World;
use test_support::{TestBroker, eventually, settled};

const DEADLINE: Duration = Duration::from_mins(3);

#[track_caller]
fn assert_try_again(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.body);
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
    let text = answer.body.to_string();
    assert!(!text.contains("sqlx") && !text.contains("Connection refused"), "{text}");
}

/// Goes red when an outage is answered with a 500, and when a program must be restarted after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_get_503_while_the_database_is_stopped_and_all_is_well_once_it_is_back() {
    let mut postgres = PrivatePostgres::start().await;
    let world = World::start_over(postgres.database().await, TestBroker::create().await).await;
    let client = &world.client;
    let login = client.join("ada").await;
    let programs = [&world.producer_api, &world.audit_consumer, &world.scheduler];
    let pids = programs.map(test_support::programs::RunningProgram::pid);

    postgres.stop().await;
    assert_try_again(&client.try_log_in("ada", PASSWORD).await);
    assert_try_again(&client.tasks(&login).await);
    assert_try_again(&client.create_task(&login, "later").await);
    assert_try_again(&client.register("grace").await);
    assert_try_again(&client.log_out(&login).await);
    for program in programs {
        let client = program.client();
        let answer = eventually(DEADLINE, "a program that is not ready", async || {
            let answer = client.readyz().await;
            (answer.status == 503).then_some(answer)
        })
        .await;
        assert_ne!(answer.body["checks"]["database"], "up", "{}", answer.body);
        assert_eq!(answer.body["status"], "not ready");
        client.get("/healthz").await.expect(200);
    }

    postgres.start_again().await;
    for program in programs {
        let client = program.client();
        settled(DEADLINE, "every program to be ready", "ready".to_owned(), async || {
            client.readyz().await.text("status").to_owned()
        })
        .await;
    }
    client.create_task(&login, "later").await.expect(201);
    client.log_out(&login).await.expect(200);
    settled(DEADLINE, "the logout in the trail", 1_i64, async || {
        sqlx::query_scalar("SELECT count(*) FROM audit.logouts")
            .fetch_one(world.database.pool())
            .await
            .unwrap()
    })
    .await;
    assert_eq!(pids, programs.map(test_support::programs::RunningProgram::pid), "nobody was restarted");
}

/// Goes red when messages are acknowledged that were not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_come_while_the_database_is_gone_are_kept_by_the_broker() {
    let mut postgres = PrivatePostgres::start().await;
    let world = World::start_over(postgres.database().await, TestBroker::create().await).await;
    let login = world.client.join("ada").await;
    for number in 0..20 {
        world.client.create_task(&login, &format!("task {number}")).await.expect(201);
    }
    postgres.kill().await;
    postgres.start_again().await;
    for number in 20..40 {
        let title = format!("task {number}");
        eventually(DEADLINE, "the API to take tasks again", async || {
            (world.client.create_task(&login, &title).await.status == 201).then_some(())
        })
        .await;
    }
    // A commit whose answer the crash cut off may stand: what counts is that facts and rows agree.
    settled(DEADLINE, "a row for every task", true, async || {
        let (tasks, rows): (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM tasks), \
             (SELECT count(*) FROM audit.events WHERE type = 'task.created')",
        )
        .fetch_one(world.database.pool())
        .await
        .unwrap();
        tasks >= 40 && tasks == rows
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_starts_before_its_database_says_so_and_then_works() {
    let mut postgres = PrivatePostgres::start().await;
    let (database, broker) = (postgres.database().await, TestBroker::create().await);
    postgres.stop().await;
    let mut programs = [
        Program::producer_api(&database, &broker).spawn(),
        Program::audit_consumer(&database, &broker).spawn(),
        Program::scheduler(&database, &broker).spawn(),
    ];
    for program in &programs {
        let client = program.client();
        eventually(DEADLINE, "a program that is not ready", async || {
            let answer = test_support::api::try_send(client.request(reqwest::Method::GET, "/readyz")).await;
            answer.is_ok_and(|answer| answer.status == 503).then_some(())
        })
        .await;
    }
    postgres.start_again().await;
    for program in &mut programs {
        program.wait_until_ready().await;
    }
}
