//! Workers of other programs: what they ask, what they are answered, and what is in the rows afterwards.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use scheduler::worker::WorkerMetrics;
use scheduler::worker::remote::{ReportDesk, ReportMetrics};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::control::{Cancel, NewSchedule, act_on_runs, add};
use shared::operator::Operation;
use shared::role::Role;
use shared::schedules::Overlap;
use uuid::Uuid;

use crate::bench::{Bench, KEY};

/// The direct reply-to of a connection, as the broker fills it in.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to.g1hkABByZXBseUA.abc==";
const SUCCEEDED: &str = "job.run.succeeded";
const FAILED: &str = "job.run.failed";

/// The office that answers, over a bench.
pub(crate) struct Office {
    pub(crate) bench: Bench,
    pub(crate) desk: ReportDesk,
}

pub(crate) fn operation(bench: &Bench) -> Operation {
    Operation::new("a test", "ada".to_owned(), "why not".to_owned(), &Clock::system(), &bench.entropy)
}

/// A schedule of the queue `sales` that is due once and has been since long.
pub(crate) fn once(key: &str) -> NewSchedule {
    NewSchedule::new(key, "report", "sales", "at 2020-05-04 09:00")
}

impl Office {
    pub(crate) async fn open() -> Self {
        let bench = Bench::new().await;
        let desk = ReportDesk {
            database: bench.as_program.clone(),
            outbox: bench.outbox.clone(),
            entropy: bench.entropy.clone(),
            lease: Duration::from_secs(30),
            metrics: ReportMetrics::new(&bench.metrics),
            attempts: WorkerMetrics::new(&bench.metrics, &Bench::registry(|_| Ok(String::new()))),
        };
        Self { bench, desk }
    }

    pub(crate) async fn now(&self) -> DateTime<Utc> {
        self.bench.now().await
    }

    /// Adds a schedule and has its runs written; gives the id of the first.
    pub(crate) async fn run_of(&self, new: NewSchedule) -> Uuid {
        let (pool, outbox) = (&self.bench.as_program, &self.bench.outbox);
        add(pool, outbox, &operation(&self.bench), &new).await.unwrap();
        self.bench.tick(self.now().await).await;
        sqlx::query_scalar("SELECT id FROM job_runs WHERE schedule_key = $1 ORDER BY scheduled_at LIMIT 1")
            .bind(&new.key)
            .fetch_one(self.bench.pool())
            .await
            .unwrap()
    }

    pub(crate) async fn ask(&self, key: &str, body: Value) -> Value {
        let answer = self.desk.answer(key, body.to_string().as_bytes(), Some(REPLY_TO)).await.unwrap();
        serde_json::to_value(answer.unwrap()).unwrap()
    }

    /// By a tick that nobody has asked by.
    async fn claim(&self, run: Uuid, worker: &str) -> Value {
        self.claim_by(self.bench.entropy.uuid_v4(), run, worker).await
    }

    async fn claim_by(&self, tick: Uuid, run: Uuid, worker: &str) -> Value {
        self.ask("sales.claim", json!({ "run_id": run, "tick_id": tick, "worker": worker })).await
    }

    async fn renew(&self, run: Uuid, attempt: i32, worker: &str) -> Value {
        self.ask("sales.renew", json!({ "run_id": run, "attempt": attempt, "worker": worker })).await
    }

    /// With `more` of what a finish may say.
    async fn finish(&self, run: Uuid, attempt: i32, worker: &str, more: Value) -> Value {
        let mut body = json!({ "run_id": run, "attempt": attempt, "worker": worker });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.ask("sales.finish", body).await
    }

    /// One column of a run as text.
    async fn column(&self, run: Uuid, column: &'static str) -> String {
        let row = sqlx::query_scalar::<_, Value>("SELECT to_jsonb(job_runs) FROM job_runs WHERE id = $1");
        let row = row.bind(run).fetch_one(self.bench.pool()).await.unwrap();
        row[column].as_str().map_or_else(|| row[column].to_string(), str::to_owned)
    }

    async fn queue_again(&self) {
        let again = "UPDATE job_runs SET state = 'queued', queued_at = now() WHERE state = 'retrying'";
        self.bench.run_sql(again).await;
    }
}

#[track_caller]
fn assert_refused(answer: &Value, member: &str, expected: &str) {
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(answer[member] == json!(false) && reason.contains(expected), "{answer}");
}

#[tokio::test]
async fn a_run_is_claimed_once_and_its_worker_is_told_the_same_if_it_asks_again() {
    let office = Office::open().await;
    let args = json!({ "region": "eu" });
    let run = office.run_of(NewSchedule { args, timeout: Duration::from_mins(5), ..once("nightly") }).await;
    assert_eq!(office.bench.events("sales.report").await, 1);
    let tick = Uuid::from_u128(1);
    let granted = office.claim_by(tick, run, "a").await;
    let expected = json!({
        "granted": true, "again": false, "run_id": run, "job_key": "report", "schedule_key": "nightly",
        "scheduled_at": "2020-05-04T09:00:00Z", "args": { "region": "eu" }, "attempt": 1, "attempts_max": 3,
        "lease_seconds": 30, "timeout_seconds": 300,
    });
    assert_eq!(granted, expected);
    assert_refused(&office.claim(run, "b").await, "granted", "the run is running, and nothing else waits");
    assert_refused(&office.claim(run, "a").await, "granted", "the run is running");
    let again = office.claim_by(tick, run, "a").await;
    assert_eq!(
        (&again["again"], &again["attempt"], &again["run_id"]),
        (&json!(true), &json!(1), &json!(run))
    );
    assert_eq!(
        (office.column(run, "worker").await, office.column(run, "attempt").await),
        ("a".into(), "1".into())
    );
    assert_refused(&office.claim(Uuid::nil(), "a").await, "granted", "sales has no run");
}

#[tokio::test]
async fn a_more_important_run_takes_the_turn_of_another_and_gives_it_its_own() {
    let office = Office::open().await;
    let low = office.run_of(once("low")).await;
    let high = office.run_of(NewSchedule { priority: 5, ..once("high") }).await;
    let tick = Uuid::from_u128(1);
    for again in [false, true] {
        let granted = office.claim_by(tick, low, "a").await;
        assert_eq!(
            (&granted["run_id"], &granted["again"]),
            (&json!(high), &json!(again)),
            "one turn, one run"
        );
    }
    let granted = office.claim(high, "b").await;
    assert_eq!((&granted["run_id"], &granted["again"]), (&json!(low), &json!(false)));
    // Who asked twice and has done it by now has had his turn; somebody else may have whatever waits.
    assert_eq!(office.finish(high, 1, "a", json!({ "outcome": "succeeded" })).await["recorded"], true);
    let other = office.run_of(once("other")).await;
    assert_refused(&office.claim_by(tick, low, "a").await, "granted", "nothing else waits in its turn");
    assert_eq!(office.claim(low, "c").await["run_id"], json!(other));
}

/// Red if a copy of a claim that comes late, of which nobody waits for the answer, takes a run from those who would do it.
#[tokio::test]
async fn a_tick_is_good_for_one_claim_of_a_worker_whatever_waits_by_then() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    let tick = Uuid::from_u128(1);
    assert_eq!(office.claim_by(tick, run, "a").await["attempt"], 1);
    assert_eq!(office.finish(run, 1, "a", json!({ "outcome": "failed" })).await["state"], "retrying");
    office.queue_again().await;
    let high = office.run_of(NewSchedule { priority: 5, ..once("high") }).await;
    assert_refused(&office.claim_by(tick, run, "a").await, "granted", "nothing else waits in its turn");
    assert_eq!(office.claim(run, "a").await["run_id"], json!(high));
    assert_eq!(office.claim(high, "a").await["attempt"], 2, "two at once, by two ticks, under one name");
}

#[tokio::test]
async fn a_worker_that_says_what_it_can_do_is_given_nothing_else() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office
        .run_of(NewSchedule {
            priority: 5,
            ..NewSchedule::new("other", "count", "sales", "at 2020-05-04 09:00")
        })
        .await;
    let body = |tick: u128| json!({ "run_id": run, "tick_id": Uuid::from_u128(tick), "worker": "a", "jobs": ["report", "mow"] });
    assert_eq!(office.ask("sales.claim", body(1)).await["job_key"], "report");
    assert_refused(&office.ask("sales.claim", body(2)).await, "granted", "nothing else waits in its turn");
    assert_eq!(office.claim(run, "b").await["job_key"], "count");
    // Nor the very one that it was told of, which is for those who can do it.
    let count = office.run_of(NewSchedule::new("more", "count", "sales", "at 2020-05-04 09:00")).await;
    let body =
        |jobs: &str| json!({ "run_id": count, "tick_id": Uuid::from_u128(3), "worker": "a", "jobs": [jobs] });
    assert_refused(
        &office.ask("sales.claim", body("report")).await,
        "granted",
        "of count, which is none of jobs",
    );
    assert_eq!(office.ask("sales.claim", body("count")).await["run_id"], json!(count));
}

#[tokio::test]
async fn runs_of_a_schedule_that_must_not_overlap_wait_for_each_other() {
    let office = Office::open().await;
    let every = NewSchedule {
        timetable: "every 60s".to_owned(),
        overlap: Overlap::Queue,
        catch_up_max: 2,
        // It owes nothing from before it was known.
        starts_at: Some(office.now().await + TimeDelta::minutes(1)),
        ..once("exclusive")
    };
    add(&office.bench.as_program, &office.bench.outbox, &operation(&office.bench), &every).await.unwrap();
    assert_eq!(office.bench.tick(office.now().await + TimeDelta::seconds(121)).await.runs(), 2);
    let runs: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM job_runs ORDER BY scheduled_at")
        .fetch_all(office.bench.pool())
        .await
        .unwrap();
    assert_eq!(office.claim(runs[0], "a").await["granted"], true);
    assert_refused(&office.claim(runs[1], "b").await, "granted", "the run is queued");
    assert_eq!(office.bench.events("sales.report").await, 2);
    assert_eq!(office.finish(runs[0], 1, "a", json!({ "outcome": "succeeded" })).await["recorded"], true);
    assert_eq!(office.bench.events("sales.report").await, 3, "the one that waited is told of again");
    assert_eq!(office.claim(runs[1], "b").await["granted"], true);
}

#[tokio::test]
async fn a_worker_holds_its_run_as_long_as_it_renews_and_learns_that_somebody_wants_it_to_end() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office.claim(run, "a").await;
    office.bench.run_sql("UPDATE job_runs SET lease_until = now()").await;
    assert_eq!(office.renew(run, 1, "a").await, json!({ "granted": true, "lease_seconds": 30 }));
    assert_eq!(office.bench.rescue(office.now().await + TimeDelta::seconds(20)).await.lost, 0);
    assert_refused(&office.renew(run, 1, "b").await, "granted", "another worker has attempt 1");
    assert_refused(&office.renew(run, 2, "a").await, "granted", "attempt 1 has the run");
    let operation = operation(&office.bench);
    let (pool, outbox) = (&office.bench.as_program, &office.bench.outbox);
    assert!(act_on_runs(pool, outbox, &operation, &[run], Cancel).await.unwrap()[0].done);
    assert_refused(&office.renew(run, 1, "a").await, "granted", "canceled: why not (ada)");
    assert_eq!((office.column(run, "state").await, office.bench.events(FAILED).await), ("failed".into(), 1));
    let late = office.finish(run, 1, "a", json!({ "outcome": "succeeded" })).await;
    assert_refused(&late, "recorded", "the run is failed: canceled");
}

#[tokio::test]
async fn a_run_that_was_to_end_counts_as_canceled_when_its_worker_says_that_it_failed() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office.claim(run, "a").await;
    let operation = operation(&office.bench);
    let (pool, outbox) = (&office.bench.as_program, &office.bench.outbox);
    assert!(act_on_runs(pool, outbox, &operation, &[run], Cancel).await.unwrap()[0].done);
    let failure = json!({ "outcome": "failed", "error": "no paper", "lasting": true });
    for note in ["somebody wanted it to end: it is not tried again", "already recorded"] {
        let told = office.finish(run, 1, "a", failure.clone()).await;
        assert_eq!(told, json!({ "recorded": true, "state": "failed", "note": note }));
    }
    assert_eq!(office.column(run, "error_kind").await, "canceled");
    assert_eq!(office.column(run, "error").await, "canceled: why not (ada); no paper");
}

#[tokio::test]
async fn an_attempt_that_takes_longer_than_it_may_ends_with_its_next_renewal() {
    let office = Office::open().await;
    let run = office.run_of(NewSchedule { attempts_max: 2, ..once("nightly") }).await;
    for (attempt, state) in [(1, "retrying"), (2, "failed")] {
        assert_eq!(office.claim(run, &format!("a{attempt}")).await["attempt"], attempt);
        office.bench.run_sql("UPDATE job_runs SET started_at = started_at - interval '31 s'").await;
        let told = office.renew(run, attempt, &format!("a{attempt}")).await;
        assert_refused(
            &told,
            "granted",
            &format!("time limit exceeded: the attempt had 30 s; the run is {state}"),
        );
        assert_eq!(office.column(run, "error_kind").await, "timed_out");
        let late =
            office.finish(run, attempt, &format!("a{attempt}"), json!({ "outcome": "succeeded" })).await;
        assert_refused(&late, "recorded", "timed_out");
        office.queue_again().await;
    }
    assert_eq!(office.bench.events(FAILED).await, 1);
}

#[tokio::test]
async fn a_success_is_recorded_once_with_its_output_and_told_once_however_often_it_is_reported() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office.claim(run, "a").await;
    let output = format!("\0{}", "ä".repeat(50_000));
    let success = json!({ "outcome": "succeeded", "output": output });
    let first = office.finish(run, 1, "a", success.clone()).await;
    assert_eq!(first, json!({ "recorded": true, "state": "succeeded" }));
    let again = office.finish(run, 1, "a", success.clone()).await;
    assert_eq!(again, json!({ "recorded": true, "state": "succeeded", "note": "already recorded" }));
    assert_refused(&office.finish(run, 1, "b", success).await, "recorded", "the run is succeeded");
    let contrary = office.finish(run, 1, "a", json!({ "outcome": "failed", "error": "no" })).await;
    assert_refused(&contrary, "recorded", "the run is succeeded");
    assert_eq!((office.bench.events(SUCCEEDED).await, office.bench.events(FAILED).await), (1, 0));
    let kept = office.column(run, "output").await;
    assert!(kept.starts_with("\u{fffd}ä") && kept.contains("cut here") && kept.len() < 66_000);
}

#[tokio::test]
async fn a_failure_is_tried_again_as_often_as_it_may_be_unless_it_would_last() {
    let office = Office::open().await;
    let run = office.run_of(NewSchedule { attempts_max: 2, ..once("nightly") }).await;
    let failure = json!({ "outcome": "failed", "error": "the printer is on fire" });
    for (attempt, state) in [(1, "retrying"), (2, "failed")] {
        assert_eq!(office.claim(run, "a").await["attempt"], attempt, "by the message of each attempt");
        let told = office.finish(run, attempt, "a", failure.clone()).await;
        assert_eq!(told, json!({ "recorded": true, "state": state }));
        let again = office.finish(run, attempt, "a", failure.clone()).await;
        assert_eq!(again, json!({ "recorded": true, "state": state, "note": "already recorded" }));
        office.queue_again().await;
    }
    assert_eq!(office.column(run, "error").await, "the printer is on fire");
    assert_eq!(office.column(run, "error_kind").await, "passing");
    assert_eq!(office.bench.events(FAILED).await, 1);

    let lasting = office.run_of(once("lasting")).await;
    office.claim(lasting, "a").await;
    let told = office.finish(lasting, 1, "a", json!({ "outcome": "failed", "lasting": true })).await;
    assert_eq!(told, json!({ "recorded": true, "state": "failed" }));
    assert_eq!(office.column(lasting, "error").await, "its worker gave no reason");
    assert_eq!(office.column(lasting, "error_kind").await, "lasting");
}

#[tokio::test]
async fn what_a_worker_says_that_lost_its_lease_counts_for_nothing() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office.claim(run, "a").await;
    assert_eq!(office.bench.rescue(office.now().await + TimeDelta::seconds(31)).await.lost, 1);
    let success = || json!({ "outcome": "succeeded", "output": "late" });
    assert_refused(&office.finish(run, 1, "a", success()).await, "recorded", ": lease_lost");
    office.queue_again().await;
    assert_eq!(office.claim(run, "b").await["attempt"], 2);
    assert_refused(&office.renew(run, 1, "a").await, "granted", "attempt 2 has the run");
    assert_refused(&office.finish(run, 1, "a", success()).await, "recorded", "attempt 2 has the run");
    let failure = json!({ "outcome": "failed", "error": "no" });
    assert_refused(&office.finish(run, 1, "a", failure).await, "recorded", "attempt 2 has the run");
    assert_eq!(office.finish(run, 2, "b", json!({ "outcome": "succeeded" })).await["recorded"], true);
    assert_eq!((office.bench.events(SUCCEEDED).await, office.bench.events(FAILED).await), (1, 0));
}

#[tokio::test]
async fn a_worker_has_nothing_to_say_about_runs_of_another_queue_and_nobody_about_those_of_warren() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    let named = |attempt: i32| json!({ "run_id": run, "tick_id": Uuid::nil(), "worker": "a", "attempt": attempt, "outcome": "succeeded" });
    assert_refused(&office.ask("stock.claim", named(0)).await, "granted", "stock has no run");
    office.claim(run, "a").await;
    assert_refused(&office.ask("stock.claim", named(1)).await, "granted", "stock has no run");
    assert_refused(&office.ask("stock.renew", named(1)).await, "granted", "stock has no run");
    // Also not by way of a tick that is another's.
    let theirs = Uuid::from_u128(4);
    office.claim_by(theirs, office.run_of(once("second")).await, "a").await;
    let stock = office.run_of(NewSchedule::new("stock", "count", "stock", "at 2020-05-04 09:00")).await;
    let body = json!({ "run_id": stock, "tick_id": theirs, "worker": "a" });
    assert_refused(&office.ask("stock.claim", body).await, "granted", "nothing else waits in its turn");
    assert_refused(&office.ask("stock.finish", named(1)).await, "recorded", "stock has no run");
    assert_eq!(office.column(run, "state").await, "running");

    let ours = office.bench.queued_run_beside(KEY).await;
    for queue in ["default", "mail", "default.sales"] {
        for (ask, member) in [("claim", "granted"), ("renew", "granted"), ("finish", "recorded")] {
            let body = json!({ "run_id": ours, "tick_id": Uuid::nil(), "worker": "a", "attempt": 0, "outcome": "succeeded" });
            assert_refused(&office.ask(&format!("{queue}.{ask}"), body).await, member, "Warren's own");
        }
    }
    assert_refused(&office.claim(ours, "a").await, "granted", "sales has no run");
    assert_eq!(office.column(ours, "state").await, "queued");
}

/// Red if one locked run holds up whoever asks behind it for longer than a lock is waited for, or an outcome is lost by that.
#[tokio::test]
async fn an_ask_about_a_run_that_somebody_else_holds_is_not_answered_and_nothing_is_done() {
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    office.claim(run, "a").await;
    // With the limits that the program has.
    let as_program =
        shared::database::connect(&office.bench.database.config_as(Role::Scheduler), "test").unwrap();
    let desk = ReportDesk { database: as_program, ..office.desk.clone() };
    let finish = json!({ "run_id": run, "worker": "a", "attempt": 1, "outcome": "succeeded" }).to_string();
    let finish = finish.as_bytes();
    let mut holder = office.bench.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM job_runs FOR UPDATE").execute(&mut *holder).await.unwrap();
    assert_eq!(desk.answer("sales.finish", finish, Some(REPLY_TO)).await.unwrap(), None);
    // Who waits for no answer does not ask again, so this message is to be kept.
    desk.answer("sales.finish", finish, None).await.unwrap_err();
    holder.rollback().await.unwrap();
    assert_eq!(office.column(run, "state").await, "running");
    desk.answer("sales.finish", finish, Some(REPLY_TO)).await.unwrap().unwrap();
    assert_eq!(office.column(run, "state").await, "succeeded");
}

#[tokio::test]
async fn what_can_t_be_read_is_answered_in_words_and_what_can_t_be_answered_is_done_only_if_it_is_an_outcome()
{
    let office = Office::open().await;
    let run = office.run_of(once("nightly")).await;
    assert_refused(&office.ask("sales.claim", json!("now!")).await, "granted", "can't be read");
    assert_refused(&office.ask("sales.finish", json!({})).await, "recorded", "can't be read");
    assert_refused(&office.ask("sales.steal", json!({})).await, "granted", "none of");
    let claim = json!({ "run_id": run, "tick_id": Uuid::nil(), "worker": "a" }).to_string();
    // To write into somebody else's queue is not Warren's to do for anybody.
    for nowhere in [None, Some("audit.events"), Some("stock.answers")] {
        let answer = office.desk.answer("sales.claim", claim.as_bytes(), nowhere).await.unwrap();
        assert_eq!((answer, office.column(run, "state").await), (None, "queued".to_owned()));
        assert_eq!(office.desk.answer("sales.claim", b"{", nowhere).await.unwrap(), None);
    }
    office.claim(run, "a").await;
    // Whatever it is that no row can hold: asked again it would be refused again, and hold up all others meanwhile.
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE 'no such text' USING ERRCODE = 'character_not_in_repertoire'; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION refuse()";
    office.bench.run_sql(refuse).await;
    assert_refused(&office.renew(run, 1, "a").await, "granted", "no such text");
    office.bench.run_sql("DROP TRIGGER refuse ON job_runs").await;
    let renew = json!({ "run_id": run, "worker": "a", "attempt": 1, "outcome": "succeeded" }).to_string();
    assert_eq!(office.desk.answer("sales.renew", renew.as_bytes(), None).await.unwrap(), None);
    assert_eq!(office.desk.answer("sales.finish", renew.as_bytes(), None).await.unwrap(), None);
    assert_eq!(office.column(run, "state").await, "succeeded");
}
