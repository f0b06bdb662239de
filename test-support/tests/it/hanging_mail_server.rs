//! A mail server that takes connections and says nothing: what else Warren does doesn't wait with the mails.

use std::time::Duration;

use serde_json::json;
use test_support::api::PASSWORD;
use test_support::mail_server::{At, Conduct, MailServer};
use test_support::programs::Program;
use test_support::{TestBroker, TestDatabase, settled};

const DEADLINE: Duration = Duration::from_mins(1);
/// As many mails are sent at once as `MAIL_WORKER_SLOTS` says by default.
const MAIL_SLOTS: usize = 4;
/// More than there are slots of any kind.
const USERS: usize = 12;

async fn count(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database.pool()).await.unwrap()
}

/// Goes red when mails share the slots of other jobs, or when a request waits for the mail server: every answer and the
/// other job's run come while the server holds all the mails that are sent at once, and none of them has ended.
#[tokio::test]
async fn a_mail_server_that_hangs_keeps_neither_requests_nor_other_jobs_waiting() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let mail = MailServer::start().await;
    mail.from_now_on(Conduct::Hang(At::Greeting));
    let mut api = Program::producer_api(&database, &broker).spawn();
    // As long as may be: no attempt ends by itself before this test does.
    let mut scheduler = Program::scheduler(&database, &broker).env("EMAIL_TIMEOUT", "50s");
    for (name, value) in mail.settings() {
        scheduler = scheduler.env(name, &value);
    }
    let mut scheduler = scheduler.spawn();
    api.wait_until_ready().await;
    scheduler.wait_until_ready().await;
    let client = api.client();

    for number in 0..USERS {
        client.register(&format!("rabbit{number}")).await.expect(201);
    }
    settled(DEADLINE, "all mails that may be under way", MAIL_SLOTS, async || mail.connections()).await;
    client.register("one-more").await.expect(201);
    let address = json!({ "email": "one-more@example.com" });
    client.post("/api/password/reset/", &address).await.expect(202);
    client.post("/api/email/verify/resend/", &address).await.expect(202);
    client.try_log_in("one-more", PASSWORD).await.expect(200);

    let due = "UPDATE job_schedules SET watermark = watermark - interval '1 minute', next_due_at = clock_timestamp()
               WHERE job_key = 'print-user-tasks'";
    sqlx::query(due).execute(database.pool()).await.unwrap();
    let printed =
        "SELECT LEAST(count(*), 1) FROM job_runs WHERE job_key = 'print-user-tasks' AND state = 'succeeded'";
    settled(DEADLINE, "the tasks to be printed", 1, async || count(&database, printed).await).await;

    let ended = "SELECT count(*) FROM mail_attempts WHERE ended_at IS NOT NULL";
    assert_eq!(count(&database, ended).await, 0, "the server has held its mails all the time");
    assert_eq!(mail.connections(), MAIL_SLOTS);
    let waiting =
        "SELECT count(*) FROM job_runs WHERE job_key = 'send-mail' AND queue = 'mail' AND state = 'queued'";
    assert_eq!(count(&database, waiting).await, i64::try_from(USERS + 3 - MAIL_SLOTS).unwrap());
}
