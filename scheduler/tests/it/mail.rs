//! The job `send-mail` with a real database and a real mail server: who is written to, what is kept of it, and what
//! becomes of a mail when the server does not do as it should.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use scheduler::jobs::{JobContext, Printer, purge_mail, send_mail};
use scheduler::worker::{LeaseSettings, Registry, Workshop, execute};
use shared::contracts::mail::{MailPurpose, SendMail};
use shared::ids::{RunId, UserId};
use shared::runs::enqueue_mails;
use shared::telemetry::TraceContext;
use test_support::mail_server::{At, Conduct, ReceivedMail, Security};
use test_support::programs::Program;
use test_support::{MailServer, TestBroker, settled};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::bench::{Bench, at, mailer};

const SITE: (&str, &str) = ("PUBLIC_URL", "https://warren.example/base/");
const FROM: (&str, &str) = ("DEFAULT_FROM_EMAIL", "Warren <warren@warren.example>");
const PURPOSES: [MailPurpose; 5] = [
    MailPurpose::VerifyEmail,
    MailPurpose::ChangeEmail,
    MailPurpose::ResetPassword,
    MailPurpose::EmailChangeRequested,
    MailPurpose::PasswordChanged,
];

/// Users 1 to 4: ada has asked for another address, owen has proved his, dora is disabled, vera is verified.
const USERS: &str = "
    INSERT INTO users (username, email, pending_email, email_verified_at, is_active, password, date_joined) VALUES
        ('ada', 'ada@example.org', 'new@example.org', NULL, true, '!', now()),
        ('owen', 'Owen@Example.org', NULL, now(), true, '!', now()),
        ('dora', 'dora@example.org', 'dora2@example.org', NULL, false, '!', now()),
        ('vera', 'vera@example.org', NULL, now(), true, '!', now())";

const ADA: UserId = UserId(1);
const OWEN: UserId = UserId(2);
const DORA: UserId = UserId(3);
const VERA: UserId = UserId(4);

/// A row of `mail_attempts`, but for its run.
type AttemptRow = (i32, i64, String, String, Option<String>);

/// A bench with users, and a mail server.
struct Post {
    bench: Bench,
    server: MailServer,
    settings: Vec<(String, String)>,
}

impl Post {
    async fn new() -> Self {
        Self::with(MailServer::start().await, &[]).await
    }

    async fn with(server: MailServer, settings: &[(&str, &str)]) -> Self {
        let bench = Bench::new().await;
        bench.run_sql(USERS).await;
        let servers = server.settings();
        let all = servers.iter().map(|(name, value)| (*name, value.as_str())).chain([SITE, FROM]);
        let settings = all
            .filter(|(name, _)| settings.iter().all(|(own, _)| own != name))
            .chain(settings.iter().copied())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { bench, server, settings }
    }

    async fn enqueue(&self, user_id: Option<UserId>, purpose: MailPurpose) -> RunId {
        let trace = TraceContext::new(&self.bench.entropy);
        let mut transaction = self.bench.pool().begin().await.unwrap();
        let mail = SendMail { user_id, purpose };
        let Bench { outbox, entropy, clock, .. } = &self.bench;
        let enqueued = enqueue_mails(&mut transaction, outbox, entropy, &trace, &[mail], clock.now()).await;
        transaction.commit().await.unwrap();
        enqueued.unwrap()[0]
    }

    fn workshop(&self) -> Workshop {
        let settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let job = send_mail::job(mailer(&settings), self.bench.entropy.clone());
        // So seldom renewed that it is not the lease which ends an attempt here.
        let lease = LeaseSettings { length: Duration::from_secs(30), renewal: Duration::from_secs(10) };
        Workshop { lease, ..self.bench.workshop(Registry::new([job])) }
    }

    /// Makes one attempt; gives the state after it, such as `succeeded 1`.
    async fn attempt(&self, run_id: RunId) -> String {
        sqlx::query("UPDATE job_runs SET state = 'queued' WHERE id = $1 AND state = 'retrying'")
            .bind(run_id)
            .execute(self.bench.pool())
            .await
            .unwrap();
        let workshop = self.workshop();
        let claimed = self.bench.claim(&workshop, run_id).await;
        execute(&workshop, claimed).await;
        self.bench.state(run_id).await
    }

    /// Sends a mail that must leave at the first attempt; gives it.
    async fn send(&self, user_id: UserId, purpose: MailPurpose) -> ReceivedMail {
        let before = self.server.mails().len();
        let run_id = self.enqueue(Some(user_id), purpose).await;
        assert_eq!(self.attempt(run_id).await, "succeeded 1");
        let mails = self.server.mails();
        assert_eq!(mails.len(), before + 1);
        mails[before].clone()
    }

    /// What a run has said of itself: its output, or why it failed.
    async fn said(&self, run_id: RunId) -> String {
        sqlx::query_scalar("SELECT COALESCE(output, error) FROM job_runs WHERE id = $1")
            .bind(run_id)
            .fetch_one(self.bench.pool())
            .await
            .unwrap()
    }

    async fn attempts(&self, run_id: RunId) -> Vec<AttemptRow> {
        sqlx::query_as(
            "SELECT attempt, user_id, purpose, outcome, reply FROM mail_attempts WHERE run_id = $1 ORDER BY attempt",
        )
        .bind(run_id)
        .fetch_all(self.bench.pool())
        .await
        .unwrap()
    }

    async fn outcomes(&self, run_id: RunId) -> Vec<String> {
        self.attempts(run_id).await.into_iter().map(|row| row.3).collect()
    }

    /// What became of each secret of a user, oldest first: `live`, or why it ended.
    async fn tokens(&self, user_id: UserId, purpose: MailPurpose) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT COALESCE(end_reason, 'live') FROM mail_tokens WHERE user_id = $1 AND purpose = $2 ORDER BY id",
        )
        .bind(user_id)
        .bind(purpose.as_str())
        .fetch_all(self.bench.pool())
        .await
        .unwrap()
    }

    /// Fails the test if a word of `hidden` is anywhere that people read who must not know it.
    async fn assert_nowhere(&self, hidden: &[&str]) {
        let everything: Vec<String> = sqlx::query_scalar(
            "SELECT row(run.*)::text FROM job_runs AS run UNION ALL
             SELECT row(attempt.*)::text FROM mail_attempts AS attempt UNION ALL
             SELECT row(message.*)::text FROM outbox AS message",
        )
        .fetch_all(self.bench.pool())
        .await
        .unwrap();
        assert!(!everything.is_empty());
        for text in everything.iter().chain([&self.bench.printed.text()]) {
            for word in hidden {
                assert!(!text.to_lowercase().contains(&word.to_lowercase()), "{word} stands in {text}");
            }
        }
    }
}

/// The state of a server's settings in which every step may take a moment and no longer.
const HASTY: (&str, &str) = ("EMAIL_TIMEOUT", "300ms");

#[tokio::test]
async fn a_verification_mail_has_its_link_in_both_parts_and_the_database_only_a_hash_of_its_secret() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    assert_eq!(post.attempt(run_id).await, "succeeded 1");
    let mail = post.server.mails().remove(0);
    assert_eq!(mail.recipients, ["ada@example.org"]);
    assert_eq!(mail.sender, "warren@warren.example");
    assert_eq!(mail.header("To").unwrap(), "ada@example.org");
    assert_eq!(mail.header("From").unwrap(), "Warren <warren@warren.example>");
    assert_eq!(mail.header("Date").unwrap(), "Mon, 04 May 2026 09:00:00 +0000");
    assert_eq!(mail.header("Auto-Submitted").unwrap(), "auto-generated");
    assert_eq!(mail.header("Message-ID").unwrap(), format!("<{run_id}@warren.example>"));
    let link = format!("https://warren.example/base/api/email/verify/?token={}", mail.token());
    assert_eq!((mail.link(), mail.token().len()), (link.clone(), 43));
    let html = mail.part("text/html");
    assert!(html.contains(&format!("href=\"{link}\"")) && html.contains("<p>Hello,</p>"), "{html}");

    let secret = BASE64_URL_SAFE_NO_PAD.decode(mail.token()).unwrap();
    let (hash, email, kept_run, expires_at): (Vec<u8>, String, Uuid, DateTime<Utc>) =
        sqlx::query_as("SELECT secret, email, run_id, expires_at FROM mail_tokens")
            .fetch_one(post.bench.pool())
            .await
            .unwrap();
    assert_eq!((hash.as_slice(), secret.len()), (digest(&SHA256, &secret).as_ref(), 32));
    assert_eq!((email.as_str(), kept_run), ("ada@example.org", run_id.0));
    assert_eq!(expires_at, at("09:00:00") + TimeDelta::days(1));

    assert_eq!(post.said(run_id).await, "verify_email mail to user 1 delivered at attempt 1\n");
    let reply = Some("250 queued as 4711".to_owned());
    let row = (1, 1, "verify_email".to_owned(), "delivered".to_owned(), reply);
    assert_eq!(post.attempts(run_id).await, [row]);
    post.assert_nowhere(&[&mail.token(), "ada@example.org", "token=", "hello"]).await;
}

#[tokio::test]
async fn each_purpose_writes_to_the_address_that_it_is_about() {
    let post = Post::new().await;
    for (purpose, address, link) in [
        (MailPurpose::VerifyEmail, "ada@example.org", Some("/api/email/verify/")),
        (MailPurpose::ChangeEmail, "new@example.org", Some("/api/email/verify/")),
        (MailPurpose::ResetPassword, "ada@example.org", Some("/api/password/reset/confirm/")),
        (MailPurpose::EmailChangeRequested, "ada@example.org", None),
        (MailPurpose::PasswordChanged, "ada@example.org", None),
    ] {
        let mail = post.send(ADA, purpose).await;
        assert_eq!(mail.recipients, [address], "{purpose:?}");
        for part in ["text/plain", "text/html"] {
            let part = mail.part(part);
            assert!(part.contains("Hello,") && part.contains("If it was not you"), "{part}");
            match link {
                Some(path) => assert!(part.contains(&format!("warren.example/base{path}?token=")), "{part}"),
                None => assert!(!part.contains("token="), "{part}"),
            }
        }
    }
    let lasts = "SELECT extract(epoch FROM expires_at - created_at)::bigint FROM mail_tokens
                 WHERE purpose = 'reset_password'";
    assert_eq!(post.bench.count(lasts).await, 300, "from the draw");
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_tokens").await, 3, "notices have none");
}

/// Goes red when whoever took an account over can outrun its owner's mail server.
#[tokio::test]
async fn an_address_that_was_given_up_is_told_even_if_the_new_one_is_proved_before_the_notice_arrives() {
    let post = Post::new().await;
    let change = "UPDATE users SET former_email = email, email = pending_email, pending_email = NULL,
                      email_verified_at = '2026-05-04T09:00:00Z' WHERE id = 1";
    post.bench.run_sql(change).await;
    let mail = post.send(ADA, MailPurpose::EmailChangeRequested).await;
    assert_eq!(mail.recipients, ["ada@example.org"]);
    assert!(mail.part("text/plain").contains("has another e-mail address"), "{}", mail.part("text/plain"));
}

#[tokio::test]
async fn where_nothing_is_to_be_sent_the_run_succeeds_and_says_why() {
    let post = Post::new().await;
    for (user_id, purpose, said) in [
        (None, MailPurpose::ResetPassword, "reset_password mail to nobody: nothing to send\n"),
        (Some(UserId(77)), MailPurpose::VerifyEmail, "the account is gone"),
        (Some(VERA), MailPurpose::VerifyEmail, "the address is verified"),
        (Some(VERA), MailPurpose::ChangeEmail, "no other address is asked for"),
        (Some(VERA), MailPurpose::EmailChangeRequested, "no other address is asked for"),
        (Some(DORA), MailPurpose::VerifyEmail, "the account is disabled"),
        (Some(DORA), MailPurpose::ChangeEmail, "the account is disabled"),
        (Some(DORA), MailPurpose::ResetPassword, "the account is disabled"),
    ] {
        let run_id = post.enqueue(user_id, purpose).await;
        assert_eq!(post.attempt(run_id).await, "succeeded 1");
        let output = post.said(run_id).await;
        assert!(output.contains("nothing to send") && output.contains(said), "{output}");
    }
    assert_eq!(post.server.connections(), 0);
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_attempts").await, 0);
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_tokens").await, 0);
    // A notice is due to whom it concerns, whatever his account may do.
    assert_eq!(post.send(DORA, MailPurpose::PasswordChanged).await.recipients, ["dora@example.org"]);
}

#[tokio::test]
async fn arguments_that_make_no_sense_fail_at_once() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    post.bench.run_sql(r#"UPDATE job_runs SET args = '{"user_id": 1, "purpose": "greet"}'"#).await;
    assert_eq!(post.attempt(run_id).await, "failed 1");
    assert!(post.said(run_id).await.contains("a user and a purpose are expected"));
}

#[tokio::test]
async fn the_owner_of_an_address_is_told_when_somebody_else_gives_it_and_that_is_one_event_a_run() {
    let post = Post::new().await;
    post.bench
        .run_sql(
            "UPDATE users SET email = 'owen@EXAMPLE.org', pending_email = 'OWEN@example.org' WHERE id = 1",
        )
        .await;
    post.server.next(Conduct::Answer(At::Recipient, "451 later"));
    for (number, purpose) in [MailPurpose::VerifyEmail, MailPurpose::ChangeEmail].into_iter().enumerate() {
        let run_id = post.enqueue(Some(ADA), purpose).await;
        if number == 0 {
            assert_eq!(post.attempt(run_id).await, "retrying 1");
        }
        assert!(post.attempt(run_id).await.starts_with("succeeded"));
        let mail = post.server.mails().remove(number);
        assert_eq!(mail.recipients, ["Owen@Example.org"]);
        let text = mail.part("text/plain");
        assert!(text.contains("Hello owen") && !text.contains("ada") && !text.contains("token"), "{text}");
        assert_eq!(post.bench.events("auth.email.conflict").await, i64::try_from(number).unwrap() + 1);
        let rows = post.attempts(run_id).await;
        assert!(rows.iter().all(|row| (row.1, row.2.as_str()) == (OWEN.0, "email_conflict")), "{rows:?}");
        assert!(post.said(run_id).await.starts_with("email_conflict mail to user 2 delivered"));
    }
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_tokens").await, 0);
    let body = r#"SELECT count(*) FROM outbox WHERE routing_key = 'auth.email.conflict'
                  AND body::jsonb->'data' @> '{"user_id": 1, "username": "ada", "owner_id": 2}'"#;
    assert_eq!(post.bench.count(body).await, 2);
}

/// Row F04 of `auth-audit.md`, section E: of five links the first two are dead, by the newer ones.
#[tokio::test]
async fn a_user_has_at_most_three_live_links_for_a_purpose_and_the_oldest_goes_first() {
    let post = Post::new().await;
    for _ in 0..5 {
        post.send(ADA, MailPurpose::ResetPassword).await;
    }
    post.send(ADA, MailPurpose::VerifyEmail).await;
    post.send(VERA, MailPurpose::ResetPassword).await;
    let ended = ["superseded", "superseded", "live", "live", "live"];
    assert_eq!(post.tokens(ADA, MailPurpose::ResetPassword).await, ended);
    assert_eq!(post.tokens(ADA, MailPurpose::VerifyEmail).await, ["live"]);
    assert_eq!(post.tokens(VERA, MailPurpose::ResetPassword).await, ["live"]);
    // What has run out takes nobody's place.
    post.bench.clock.advance(TimeDelta::seconds(301));
    post.send(ADA, MailPurpose::ResetPassword).await;
    assert_eq!(post.tokens(ADA, MailPurpose::ResetPassword).await[2..], ["live", "live", "live", "live"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_drawn_side_by_side_are_three_at_most_as_well() {
    let post = Post::new().await;
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(post.enqueue(Some(ADA), MailPurpose::ResetPassword).await);
    }
    // Whoever locks the user waits before he looks, whoever does not, when he writes.
    let mut held = post.bench.pool().begin().await.unwrap();
    sqlx::query("SELECT FROM users WHERE id = 1 FOR UPDATE").execute(&mut *held).await.unwrap();
    let release = async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        settled(Duration::from_secs(30), "all to wait", 5, async || post.bench.count(waiting).await).await;
        held.commit().await.unwrap();
    };
    let sending = futures_util::future::join_all(runs.iter().map(|run_id| post.attempt(*run_id)));
    let (sent, ()) = tokio::join!(sending, release);
    assert!(sent.iter().all(|state| state == "succeeded 1"), "{sent:?}");
    let tokens = post.tokens(ADA, MailPurpose::ResetPassword).await;
    assert_eq!((tokens.len(), tokens.iter().filter(|token| *token == "live").count()), (5, 3));
}

#[tokio::test]
async fn a_server_that_is_down_loses_nothing_and_costs_no_earlier_link() {
    let mut post = Post::new().await;
    for _ in 0..3 {
        post.send(ADA, MailPurpose::ResetPassword).await;
    }
    post.server.stop().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::ResetPassword).await;
    for attempt in 1..=4 {
        assert_eq!(post.attempt(run_id).await, format!("retrying {attempt}"));
    }
    let said = post.said(run_id).await;
    assert!(said.contains("reset_password mail to user 1: the mail server can't be reached"), "{said}");
    let mut ended = vec!["superseded", "live", "live", "withdrawn", "withdrawn", "withdrawn", "withdrawn"];
    assert_eq!(post.tokens(ADA, MailPurpose::ResetPassword).await, ended);
    post.server.start_again().await;
    assert_eq!(post.attempt(run_id).await, "succeeded 5");
    ended.push("live");
    assert_eq!(post.tokens(ADA, MailPurpose::ResetPassword).await, ended);
    assert_eq!(post.outcomes(run_id).await, ["failed", "failed", "failed", "failed", "delivered"]);
    assert_eq!(post.server.mails().len(), 4);
    assert_eq!(post.said(run_id).await, "reset_password mail to user 1 delivered at attempt 5\n");
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_fails_at_once_and_says_so_without_the_address() {
    let post = Post::new().await;
    for there in [At::Sender, At::Recipient, At::Data, At::End] {
        post.server.next(Conduct::Answer(there, "550 5.1.1 <ada@example.org> is nobody of ours"));
        let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
        assert_eq!(post.attempt(run_id).await, "failed 1", "{there:?}");
        let said = post.said(run_id).await;
        assert!(said.starts_with("verify_email mail to user 1 refused for good:"), "{said}");
        assert!(said.ends_with("(550)"), "{said}");
        let (_, _, _, outcome, reply) = post.attempts(run_id).await.remove(0);
        let reply = reply.unwrap();
        assert_eq!(outcome, "refused");
        assert!(reply.contains("<(address)> is nobody of ours"), "{reply}");
    }
    assert_eq!(post.bench.events("job.run.failed").await, 4);
    assert_eq!(post.tokens(ADA, MailPurpose::VerifyEmail).await, ["withdrawn"; 4]);
    // 554 is not in the list of answers to RCPT (RFC 5321, 4.3.2), but it is a 5xx; 4xx is the word for what may pass.
    post.server.next(Conduct::Answer(At::Recipient, "554 5.7.1 <ada@example.org>: access denied"));
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    assert_eq!(post.attempt(run_id).await, "failed 1");
    post.server.next(Conduct::Answer(At::Recipient, "454 4.7.1 try later"));
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    assert_eq!(
        (post.attempt(run_id).await, post.attempt(run_id).await),
        ("retrying 1".to_owned(), "succeeded 2".to_owned())
    );
    post.assert_nowhere(&["ada@example.org"]).await;
}

#[tokio::test]
async fn what_may_pass_is_tried_again_with_a_secret_of_its_own_and_the_same_message_id() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    let passing = [
        Conduct::Answer(At::Greeting, "554 no service"),
        Conduct::Answer(At::Hello, "421 too busy"),
        Conduct::Answer(At::Sender, "530 log in first"),
        Conduct::Answer(At::Recipient, "451 greylisted"),
        Conduct::Answer(At::End, "452 disk full"),
        Conduct::Close(At::Data),
    ];
    for (number, conduct) in passing.into_iter().enumerate() {
        post.server.next(conduct);
        assert_eq!(post.attempt(run_id).await, format!("retrying {}", number + 1));
    }
    assert_eq!(post.attempt(run_id).await, "succeeded 7");
    assert_eq!(post.server.mails().len(), 1);
    assert_eq!(post.said(run_id).await, "verify_email mail to user 1 delivered at attempt 7\n");
    let hashes = "SELECT count(DISTINCT secret) FROM mail_tokens";
    assert_eq!(post.bench.count(hashes).await, 7);
    assert_eq!(post.tokens(ADA, MailPurpose::VerifyEmail).await[6], "live");
}

#[tokio::test]
async fn a_server_that_dies_after_the_end_of_the_mail_gets_it_again_and_what_came_twice_is_counted() {
    let post = Post::with(MailServer::start().await, &[HASTY]).await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    post.server.next(Conduct::Close(At::End));
    assert_eq!(post.attempt(run_id).await, "retrying 1");
    let said = post.said(run_id).await;
    assert!(said.contains("got the whole mail and did not answer"), "{said}");
    post.server.next(Conduct::Hang(At::End));
    assert_eq!(post.attempt(run_id).await, "retrying 2");
    assert_eq!(post.attempt(run_id).await, "succeeded 3");
    assert_eq!(post.outcomes(run_id).await, ["unconfirmed", "unconfirmed", "delivered"]);
    let said =
        "verify_email mail to user 1 delivered at attempt 3; 2 earlier attempts may have arrived as well\n";
    assert_eq!(post.said(run_id).await, said);
    let mails = post.server.mails();
    assert_eq!(mails.len(), 3);
    let ids: Vec<_> = mails.iter().map(|mail| mail.header("Message-ID").unwrap()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "a receiver can tell that they are one: {ids:?}");
    // Whichever of them the receiver keeps, its link works.
    assert_eq!(post.tokens(ADA, MailPurpose::VerifyEmail).await, ["live"; 3]);
}

#[tokio::test]
async fn a_server_that_hangs_costs_a_step_s_time_wherever_it_does() {
    let post = Post::with(MailServer::start().await, &[HASTY]).await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    let places = [At::Greeting, At::Hello, At::Sender, At::Recipient, At::Data, At::Middle];
    for (number, place) in places.into_iter().enumerate() {
        post.server.next(Conduct::Hang(place));
        let started = Instant::now();
        assert_eq!(post.attempt(run_id).await, format!("retrying {}", number + 1));
        assert!(started.elapsed() < Duration::from_secs(5), "{place:?} took {:?}", started.elapsed());
    }
    let outcomes = post.outcomes(run_id).await;
    assert_eq!(outcomes[..5], ["failed"; 5]);
    // The end was on its way when the server fell silent.
    assert_eq!(outcomes[5], "unconfirmed");
    post.server.next(Conduct::Slow(Duration::from_millis(50)));
    assert_eq!(post.attempt(run_id).await, "succeeded 7");
}

#[tokio::test]
async fn an_attempt_that_has_lost_the_run_stores_nothing_and_sends_nothing() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    let workshop = post.workshop();
    let old = post.bench.claim(&workshop, run_id).await;
    // Its lease ran out, and another worker has the run.
    post.bench.run_sql("UPDATE job_runs SET attempt = 2, worker = 'other'").await;
    execute(&workshop, old).await;
    assert_eq!(post.bench.state(run_id).await, "running 2");
    assert_eq!(post.server.connections(), 0);
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_tokens").await, 0);
    assert_eq!(post.bench.count("SELECT count(*) FROM mail_attempts").await, 0);
}

#[tokio::test]
async fn a_worker_that_dies_while_it_sends_is_counted_as_one_whose_mail_may_have_left() {
    let post = Post::new().await;
    post.server.next(Conduct::Hang(At::End));
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    let workshop = post.workshop();
    let claimed = post.bench.claim(&workshop, run_id).await;
    let dying = tokio::spawn(async move { execute(&workshop, claimed).await });
    settled(Duration::from_secs(30), "the mail to arrive", 1, async || post.server.mails().len()).await;
    dying.abort();
    assert!(dying.await.unwrap_err().is_cancelled());
    assert_eq!(post.outcomes(run_id).await, ["begun"]);
    post.bench.run_sql("UPDATE job_runs SET state = 'queued', lease_until = NULL").await;
    assert_eq!(post.attempt(run_id).await, "succeeded 2");
    let said =
        "verify_email mail to user 1 delivered at attempt 2; 1 earlier attempt may have arrived as well\n";
    assert_eq!(post.said(run_id).await, said);
}

#[tokio::test]
async fn a_mail_that_was_taken_is_not_sent_again_because_its_worker_died_before_it_could_say_so() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    assert_eq!(post.attempt(run_id).await, "succeeded 1");
    post.bench.run_sql("UPDATE job_runs SET state = 'queued', finished_at = NULL, output = NULL").await;
    assert_eq!(post.attempt(run_id).await, "succeeded 2");
    assert_eq!(post.server.connections(), 1);
    let said = "verify_email mail to user 1: not sent again, delivered at attempt 1\n";
    assert_eq!(post.said(run_id).await, said);
    assert_eq!(post.tokens(ADA, MailPurpose::VerifyEmail).await, ["live"]);
}

#[tokio::test]
async fn names_and_addresses_bring_neither_headers_nor_html_nor_other_recipients() {
    let post = Post::new().await;
    post.bench
        .run_sql(
            r#"UPDATE users SET username = E'<b onclick="x()">\r\nBcc: all@example.org\r\n\r\n.\r\nMAIL FROM:<x@y>'
               WHERE id = 1;
               UPDATE users SET email = E'vera@example.org\r\nBcc: all@example.org' WHERE id = 4"#,
        )
        .await;
    for purpose in PURPOSES {
        let mail = post.send(ADA, purpose).await;
        assert_eq!(mail.recipients.len(), 1);
        assert_eq!(mail.header("Bcc"), None);
        assert!(!mail.part("text/html").contains("<b onclick"));
        assert!(!mail.part("text/plain").contains("\nBcc"));
    }
    let sent = post.server.mails().len();
    let run_id = post.enqueue(Some(VERA), MailPurpose::ResetPassword).await;
    assert_eq!(post.attempt(run_id).await, "failed 1");
    assert!(post.said(run_id).await.contains("characters that no address may have"));
    assert_eq!((post.server.mails().len(), post.outcomes(run_id).await), (sent, vec!["refused".to_owned()]));
}

/// Many mail programs make a link of `www.evil.example`. Whoever registers with a stranger's address chooses the name.
#[tokio::test]
async fn a_name_that_looks_like_a_link_is_in_no_mail_and_other_names_are_where_the_address_is_proved() {
    let post = Post::new().await;
    for name in ["www.evil.example", "evil"] {
        let rename = format!("UPDATE users SET username = '{name}' WHERE id = 1");
        sqlx::query(sqlx::AssertSqlSafe(rename)).execute(post.bench.pool()).await.unwrap();
        for purpose in PURPOSES {
            let mail = post.send(ADA, purpose).await;
            for part in ["text/plain", "text/html"] {
                assert!(!mail.part(part).contains("evil"), "{purpose:?}: {}", mail.part(part));
            }
        }
    }
    post.bench.run_sql("UPDATE users SET email_verified_at = now() WHERE id = 1").await;
    for (purpose, named) in [
        (MailPurpose::ChangeEmail, false),
        (MailPurpose::ResetPassword, true),
        (MailPurpose::EmailChangeRequested, true),
        (MailPurpose::PasswordChanged, true),
    ] {
        let mail = post.send(ADA, purpose).await;
        assert_eq!(mail.part("text/plain").contains("Hello evil,"), named, "{purpose:?}");
    }
}

#[tokio::test]
async fn the_connection_is_encrypted_as_it_should_be_and_the_login_goes_over_it() {
    let login = [("EMAIL_HOST_USER", "warren"), ("EMAIL_HOST_PASSWORD", "hush-hush")];
    for security in [Security::StartTls, Security::Implicit] {
        let post = Post::with(MailServer::start_with(security).await, &login).await;
        let mail = post.send(ADA, MailPurpose::VerifyEmail).await;
        assert!(mail.was_encrypted, "{security:?}");
        assert_eq!(mail.login.as_deref(), Some("warren:hush-hush"));
        post.server.next(Conduct::Answer(At::Login, "535 5.7.8 who are you, hush-hush?"));
        let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
        assert_eq!(post.attempt(run_id).await, "retrying 1", "an operator can mend that");
        assert!(post.said(run_id).await.contains("doesn't let us log in (535)"));
    }
}

#[tokio::test]
async fn nothing_is_sent_over_a_connection_that_can_not_be_trusted() {
    for (security, settings) in [
        // STARTTLS is wanted and not offered: somebody in between may have taken it away.
        (Security::Plain, [("EMAIL_USE_TLS", "true"), HASTY]),
        // Nobody whom we trust vouches for the server.
        (Security::StartTls, [("EMAIL_SSL_CAFILE", ""), HASTY]),
        (Security::Implicit, [("EMAIL_SSL_CAFILE", ""), HASTY]),
    ] {
        let post = Post::with(MailServer::start_with(security).await, &settings).await;
        let run_id = post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
        assert_eq!(post.attempt(run_id).await, "retrying 1", "{security:?}");
        assert_eq!(post.outcomes(run_id).await, ["failed"]);
        assert!(post.server.connections() == 1 && post.server.mails().is_empty());
    }
}

#[tokio::test]
async fn the_console_prints_the_mail_and_the_run_s_output_has_no_word_of_it() {
    let post = Post::with(MailServer::start().await, &[("EMAIL_BACKEND", "console")]).await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::ResetPassword).await;
    assert_eq!(post.attempt(run_id).await, "succeeded 1");
    let printed = post.bench.printed.text();
    assert!(printed.contains("\nTo: ada@example.org\n"), "{printed}");
    assert!(printed.contains("https://warren.example/base/api/password/reset/confirm/?token="), "{printed}");
    assert_eq!(post.said(run_id).await, "reset_password mail to user 1 delivered at attempt 1\n");
    assert_eq!(post.server.connections(), 0);
}

#[tokio::test]
async fn the_folder_has_one_file_a_mail_which_nobody_else_can_read() {
    let folder = tempfile::tempdir().unwrap();
    let mails = folder.path().join("made/mail");
    let settings = [("EMAIL_BACKEND", "file"), ("EMAIL_FILE_PATH", mails.to_str().unwrap())];
    let post = Post::with(MailServer::start().await, &settings).await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::ResetPassword).await;
    assert_eq!(post.attempt(run_id).await, "succeeded 1");
    let files: Vec<_> = std::fs::read_dir(&mails).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].file_name().to_str().unwrap(), format!("{run_id}-1.eml"));
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(files[0].path()), mode(mails)), (0o600, 0o700));
    let mail = std::fs::read_to_string(files[0].path()).unwrap();
    assert!(mail.contains("/api/password/reset/confirm/?token="), "{mail}");
}

#[tokio::test]
async fn the_scheduler_sends_what_is_enqueued_and_its_outputs_have_no_word_of_it() {
    let post = Post::new().await;
    let broker = TestBroker::create().await;
    let program = Program::scheduler(&post.bench.database, &broker).env("RUST_LOG", "trace,lapin=off");
    let settings = post.settings.iter();
    let program = settings.fold(program, |program, (name, value)| program.env(name, value)).start().await;
    post.server.next(Conduct::Close(At::End));
    let run_id = post.enqueue(Some(ADA), MailPurpose::ResetPassword).await;
    let mails =
        [post.server.mail_to("ada@example.org", 1).await, post.server.mail_to("ada@example.org", 2).await];
    settled(Duration::from_mins(1), "the run to end", "succeeded 2".to_owned(), async || {
        post.bench.state(run_id).await
    })
    .await;
    let said =
        "reset_password mail to user 1 delivered at attempt 2; 1 earlier attempt may have arrived as well\n";
    assert_eq!(post.said(run_id).await, said);
    let log = program.log();
    assert!(log.contains("a run succeeded") && log.contains("send-mail"), "{log}");
    for hidden in
        [mails[0].token(), mails[1].token(), "ada@example.org".to_owned(), "Choose one here".to_owned()]
    {
        assert!(!log.contains(&hidden) && !program.output().contains(&hidden), "{hidden} stands in {log}");
        post.assert_nowhere(&[&hidden]).await;
    }
}

/// Goes red when a scheduler that sends mails to everybody says nothing of links that lead nobody anywhere.
#[tokio::test]
async fn a_scheduler_whose_links_lead_to_its_own_machine_says_so_when_it_starts() {
    let (bench, broker) = (Bench::new().await, TestBroker::create().await);
    let program = Program::scheduler(&bench.database, &broker).env("EMAIL_HOST", "mail.invalid");
    let log = program.clone().start().await.log();
    assert!(log.contains("WARN") && log.contains("links in mails lead to http://127.0.0.1:8000"), "{log}");
    let log = program.env("PUBLIC_URL", "https://warren.example").start().await.log();
    assert!(!log.contains("links in mails"), "{log}");
}

#[tokio::test]
async fn what_is_remembered_of_mails_goes_when_nobody_needs_it() {
    let bench = Bench::new().await;
    bench.run_sql(USERS).await;
    // The clock stands at 09:00 of 4 May.
    bench
        .run_sql(
            "INSERT INTO mail_tokens (user_id, purpose, secret, email, run_id, attempt, created_at, expires_at,
                                      ended_at, end_reason)
             SELECT 1, 'reset_password', sha256(n::text::bytea), 'a@b.example', gen_random_uuid(), 1, '2026-04-01', expires,
                    CASE n % 2 WHEN 0 THEN expires END, CASE n % 2 WHEN 0 THEN 'used' END
             FROM generate_series(1, 1210) AS n,
                  LATERAL (SELECT CASE WHEN n <= 1205 THEN timestamptz '2026-05-03T09:00:00Z'
                                  ELSE '2026-05-03T09:00:01Z' END AS expires) AS token;
             INSERT INTO mail_attempts (run_id, attempt, user_id, purpose, begun_at)
             SELECT gen_random_uuid(), 1, 1, 'reset_password',
                    CASE WHEN n <= 1100 THEN timestamptz '2026-04-04T09:00:00Z' ELSE '2026-04-04T09:00:01Z' END
             FROM generate_series(1, 1103) AS n;
             INSERT INTO job_runs (id, schedule_key, job_key, scheduled_at, queue, args, state, attempts_max,
                                   timeout_seconds, run_after, queued_at, finished_at)
             SELECT gen_random_uuid(), key, key, '2026-04-01'::timestamptz + n * interval '1 second', 'mail', args, state, 1, 60,
                    '2026-04-01', '2026-04-01', finished_at
             FROM (
                 -- Those for nobody go like all others.
                 SELECT n, 'send-mail', jsonb_build_object('user_id', CASE n % 2 WHEN 0 THEN 1 END),
                        CASE n % 3 WHEN 0 THEN 'failed' ELSE 'succeeded' END,
                        CASE WHEN n <= 1050 THEN timestamptz '2026-04-04T09:00:00Z' ELSE '2026-04-04T09:00:01Z' END
                 FROM generate_series(1, 1052) AS n
                 UNION ALL SELECT 2000, 'send-mail', '{}', 'retrying', NULL
                 UNION ALL SELECT 2001, 'print-user-tasks', '{}', 'succeeded', '2026-04-01'
             ) AS run (n, key, args, state, finished_at)",
        )
        .await;
    bench
        .run_sql(
            "UPDATE users SET former_email = 'old@example.org', email_verified_at = '2026-05-02T09:00:00Z'
             WHERE id IN (2, 4);
             UPDATE users SET email_verified_at = '2026-05-02T08:59:59Z' WHERE id = 2",
        )
        .await;
    let job = purge_mail::job();
    let purge = |stop: CancellationToken| {
        let context = JobContext {
            run_id: RunId(Uuid::nil()),
            scheduled_at: at("09:00:00"),
            attempt: 1,
            args: serde_json::json!({}),
            database: bench.as_program.clone(),
            outbox: bench.outbox.clone(),
            clock: bench.clock.clone(),
            printer: Printer::to(bench.printed.clone()),
            trace: TraceContext::new(&bench.entropy),
            stop,
        };
        job.run(context)
    };
    let stopped = CancellationToken::new();
    stopped.cancel();
    assert!(purge(stopped).await.unwrap().contains("stopped early"));
    let said = purge(CancellationToken::new()).await.unwrap();
    let expected = "deleted 1205 expired mail link(s), 1100 old attempt(s) to send a mail and 1050 old run(s), forgot \
                    1 former address(es)\n";
    assert_eq!(said, expected);
    assert_eq!(bench.count("SELECT id FROM users WHERE former_email IS NOT NULL").await, 4);
    assert_eq!(bench.count("SELECT count(*) FROM mail_tokens").await, 5);
    assert_eq!(bench.count("SELECT count(*) FROM mail_attempts").await, 3);
    let left =
        "SELECT count(*) FROM job_runs WHERE finished_at IS NULL OR finished_at > '2026-04-04T09:00:00Z'
                OR job_key <> 'send-mail'";
    assert_eq!((bench.count("SELECT count(*) FROM job_runs").await, bench.count(left).await), (4, 4));
}

#[tokio::test]
async fn a_mail_is_tried_for_about_a_day() {
    let post = Post::new().await;
    post.enqueue(Some(ADA), MailPurpose::VerifyEmail).await;
    let given = "SELECT count(*) FROM job_runs
                 WHERE attempts_max = 290 AND timeout_seconds = 60 AND queue = 'mail'
                   AND args = '{\"user_id\": 1, \"purpose\": \"verify_email\"}'";
    assert_eq!(post.bench.count(given).await, 1);
    assert_eq!(post.bench.events("mail.send-mail").await, 1);
}

/// Whoever took an account over can't outrun its owner's mail server by changing the address once more.
#[tokio::test]
async fn a_notice_reaches_the_address_of_its_time_even_if_two_others_followed() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(VERA), MailPurpose::EmailChangeRequested).await;
    post.bench.run_sql("UPDATE users SET pending_email = 'eve@example.org' WHERE id = 4").await;
    post.server.next(Conduct::Answer(At::Recipient, "451 greylisted"));
    assert_eq!(post.attempt(run_id).await, "retrying 1");
    // The new one is proved, as the API does it, and a third one is asked for.
    post.bench
        .run_sql(
            "UPDATE users SET former_email = email, email = pending_email, pending_email = 'eve2@example.org',
                 email_verified_at = '2027-01-01T09:00:00Z' WHERE id = 4",
        )
        .await;
    assert_eq!(post.attempt(run_id).await, "succeeded 2");
    assert_eq!(post.server.mails()[0].recipients, ["vera@example.org"]);
}

/// The same of the notice that the password is another one.
#[tokio::test]
async fn a_notice_of_another_password_reaches_the_address_of_its_time() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(VERA), MailPurpose::PasswordChanged).await;
    post.server.next(Conduct::Answer(At::Recipient, "451 greylisted"));
    assert_eq!(post.attempt(run_id).await, "retrying 1");
    post.bench
        .run_sql(
            "UPDATE users SET former_email = email, email = 'eve@example.org',
                 email_verified_at = '2027-01-01T09:00:00Z' WHERE id = 4",
        )
        .await;
    assert_eq!(post.attempt(run_id).await, "succeeded 2");
    assert_eq!(post.server.mails()[0].recipients, ["vera@example.org"]);
}

/// The links of a purpose are all dead when one is used, also those that were not drawn yet.
#[tokio::test]
async fn a_link_to_choose_a_password_is_not_drawn_after_one_was_chosen() {
    let post = Post::new().await;
    let run_id = post.enqueue(Some(ADA), MailPurpose::ResetPassword).await;
    post.server.next(Conduct::Close(At::End));
    assert_eq!(post.attempt(run_id).await, "retrying 1");
    // The mail had arrived, and its link was used.
    post.bench
        .run_sql(
            "UPDATE mail_tokens SET ended_at = now(), end_reason = 'used';
         UPDATE users SET password = '!2', password_changed_at = now() + interval '10 years' WHERE id = 1",
        )
        .await;
    assert_eq!(post.attempt(run_id).await, "succeeded 2");
    assert_eq!(post.tokens(ADA, MailPurpose::ResetPassword).await, ["used"]);
}
