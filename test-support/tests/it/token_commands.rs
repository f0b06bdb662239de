//! The commands about tokens and users, over the real binary: exit codes, texts, and what they do to a running API.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use test_support::api::{Answer, Client, Login, PASSWORD, send};
use test_support::programs::{Ended, Program, RunningProgram};
use test_support::{TestBroker, TestDatabase, eventually};

/// What a command of another process revokes is revoked within two seconds; the rest is for a busy machine.
const DEADLINE: Duration = Duration::from_secs(10);
const NEW_PASSWORD: &str = "another correct horse";

/// An API that runs, and what commands need beside it.
struct Operated {
    database: TestDatabase,
    broker: TestBroker,
    api: RunningProgram,
    client: Client,
}

impl Operated {
    async fn start() -> Self {
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let api = Program::producer_api(&database, &broker).start().await;
        let client = api.client();
        Self { database, broker, api, client }
    }

    fn command(&self, arguments: &[&str]) -> Program {
        let program = Program::producer_api(&self.database, &self.broker);
        arguments.iter().fold(program, |program, argument| program.arg(argument))
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).run().await
    }

    async fn inspect(&self, token: &str) -> (Option<i32>, Value) {
        let ended = self.command(&["tokens", "inspect"]).input(token).run().await;
        if let Some((_, signature)) = token.trim().rsplit_once('.') {
            assert!(!ended.output.contains(signature) && !ended.log.contains(signature), "{}", ended.output);
        }
        (ended.code, serde_json::from_str(&ended.output).unwrap())
    }

    async fn wait_until_refused(&self, access: &str) {
        eventually(DEADLINE, "the session to be over", async || {
            (tasks(&self.client, access).await.status == 401).then_some(())
        })
        .await;
    }
}

async fn tasks(client: &Client, access: &str) -> Answer {
    send(client.request(Method::GET, "/api/tasks/").bearer_auth(access)).await
}

#[track_caller]
fn succeeded(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ended.log, "", "nothing is said beside the answer");
    &ended.output
}

/// One line that says what is wrong, and nothing on standard output.
#[track_caller]
fn assert_failed(ended: &Ended, code: i32, text: &str) {
    assert_eq!(ended.code, Some(code), "{}", ended.log);
    assert!(ended.log.contains(text), "{}", ended.log);
    assert_eq!((ended.log.trim_end().lines().count(), ended.output.as_str()), (1, ""), "{}", ended.log);
}

fn tokens(output: &str) -> (String, String) {
    let body: Value = serde_json::from_str(output).unwrap();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    (text("access"), text("refresh"))
}

#[tokio::test]
async fn minted_tokens_open_the_api_and_their_session_replaces_the_one_before() {
    let operated = Operated::start().await;
    let login = operated.client.join("froggly").await;
    let minted = operated.run(&["tokens", "mint", "--user", "froggly"]).await;
    let (access, refresh) = tokens(succeeded(&minted));
    tasks(&operated.client, &access).await.expect(200);
    operated.client.refresh(&refresh).await.expect(200);
    operated.wait_until_refused(&login.access).await;
    let agent: String = sqlx::query_scalar("SELECT user_agent FROM user_sessions WHERE is_active")
        .fetch_one(operated.database.pool())
        .await
        .unwrap();
    assert_eq!(agent, "producer-api tokens mint");

    let sliding = operated.run(&["tokens", "mint", "--user", "froggly", "--sliding"]).await;
    let token: Value = serde_json::from_str(succeeded(&sliding)).unwrap();
    let token = token["token"].as_str().unwrap();
    operated
        .client
        .post("/api/token/sliding/refresh/", &serde_json::json!({ "token": token }))
        .await
        .expect(200);
    tasks(&operated.client, token).await.expect(401);
    assert!(operated.api.pid() > 0, "the API ran all the time");
}

#[tokio::test]
async fn nothing_is_minted_for_nobody_for_the_disabled_and_where_the_policy_says_no() {
    let operated = Operated::start().await;
    operated.client.join("froggly").await;
    let mint = ["tokens", "mint", "--user", "froggly"];
    assert_failed(
        &operated.run(&["tokens", "mint", "--user", "nobody"]).await,
        1,
        r#"there is no user "nobody""#,
    );
    let rejecting = operated.command(&mint).env("SESSION_POLICY", "reject").run().await;
    assert_failed(&rejecting, 1, "SESSION_POLICY=reject keeps it");
    operated.run(&["users", "disable", "--username", "froggly"]).await;
    assert_failed(&operated.run(&mint).await, 1, "`users enable` first");
    let wrong = operated.command(&mint).env("SESSION_POLICY", "many").run().await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.log);
    let short = operated.command(&mint).env("SIGNING_KEY", "hidden").run().await;
    assert_eq!(short.code, Some(2), "{}", short.log);
    assert!(short.log.contains("SIGNING_KEY") && !short.log.contains("hidden"), "{}", short.log);
}

#[tokio::test]
async fn a_token_is_explained_from_standard_input_and_never_repeated() {
    let operated = Operated::start().await;
    let login = operated.client.join("froggly").await;
    for token in [&login.access, &login.refresh] {
        let (code, findings) = operated.inspect(&format!("  {token}\n")).await;
        assert_eq!((code, &findings["verdict"]), (Some(0), &Value::from("good")), "{findings}");
        assert_eq!(findings["header"]["alg"], "HS256");
        assert_eq!(findings["claims"]["user_id"], login.user_id.to_string());
        assert_eq!(
            (&findings["user"]["username"], &findings["session"]["is_active"]),
            (&Value::from("froggly"), &Value::from(true))
        );
    }
    operated.client.log_out(&login).await.expect(200);
    let (code, findings) = operated.inspect(&login.refresh).await;
    assert_eq!((code, &findings["verdict"]), (Some(4), &Value::from("Token is blacklisted")));
    assert_eq!(findings["recorded"]["blacklisted"]["reason"], "logout");
    let (code, findings) = operated.inspect(&login.access).await;
    assert_eq!((code, &findings["session"]["is_active"]), (Some(4), &Value::from(false)), "{findings}");
    let (code, findings) = operated.inspect(&format!("{}x", login.access)).await;
    assert_eq!((code, &findings["verdict"]), (Some(4), &Value::from("Token is invalid")));
    let (code, findings) = operated.inspect("nonsense").await;
    assert_eq!((code, &findings["verdict"]), (Some(4), &Value::from("Token is invalid")));
    let empty = operated.command(&["tokens", "inspect"]).input(" \n").run().await;
    assert_failed(&empty, 1, "give the token on standard input");
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_and_an_enabled_one_logs_in_again() {
    let operated = Operated::start().await;
    let login: Login = operated.client.join("froggly").await;
    let disable = ["users", "disable", "--username", "froggly"];
    assert_eq!(succeeded(&operated.run(&disable).await), "disabled froggly; ended 1 session(s)\n");
    operated.wait_until_refused(&login.access).await;
    operated.client.refresh(&login.refresh).await.expect(401);
    operated.client.try_log_in("froggly", PASSWORD).await.expect(401);
    assert_eq!(
        succeeded(&operated.run(&disable).await),
        "froggly is disabled already; nothing was changed\n"
    );
    let enable = ["users", "enable", "--username", "froggly"];
    assert_eq!(succeeded(&operated.run(&enable).await), "enabled froggly\n");
    operated.client.refresh(&login.refresh).await.expect(401);
    operated.client.log_in("froggly").await;
    for verb in ["disable", "enable"] {
        let ended = operated.run(&["users", verb, "--username", "nobody"]).await;
        assert_failed(&ended, 1, r#"there is no user "nobody""#);
    }
}

#[tokio::test]
async fn a_password_is_set_from_the_environment_and_seen_nowhere() {
    let operated = Operated::start().await;
    let login = operated.client.join("froggly").await;
    let set = |user: &str, password: &str| {
        operated.command(&["users", "set-password", "--username", user]).env("NEW_PASSWORD", password)
    };
    let mut running = set("froggly", NEW_PASSWORD).spawn();
    // Empty until the child has become the program, which then lives for as long as a hash takes at least.
    let cmdline = format!("/proc/{}/cmdline", running.pid());
    let shown = loop {
        let shown = String::from_utf8(std::fs::read(&cmdline).unwrap()).unwrap();
        if !shown.is_empty() {
            break shown;
        }
    };
    assert!(shown.contains("set-password") && !shown.contains(NEW_PASSWORD), "{shown}");
    assert_eq!(running.ended().await.code(), Some(0), "{}", running.log());
    assert_eq!(running.output(), "froggly has a new password; ended 1 session(s)\n");
    assert_eq!(running.log(), "");
    operated.wait_until_refused(&login.access).await;
    operated.client.try_log_in("froggly", PASSWORD).await.expect(401);
    operated.client.try_log_in("froggly", NEW_PASSWORD).await.expect(200);

    assert_failed(&set("nobody", NEW_PASSWORD).run().await, 1, r#"there is no user "nobody""#);
    // The last is like the address that the account has, froggly@example.com.
    for weak in ["", "short", "sunshine", "example-com"] {
        let ended = set("froggly", weak).run().await;
        assert_eq!(ended.code, Some(2), "{}", ended.log);
        assert!(ended.log.contains("NEW_PASSWORD"), "{}", ended.log);
        assert!(weak.is_empty() || !ended.log.contains(weak) || weak == "short", "{}", ended.log);
    }
    operated.client.try_log_in("froggly", NEW_PASSWORD).await.expect(200);
}

/// Goes red when the account lacks a right or its address is not vouched for, when a second run changes it, and when its
/// password is shown.
#[tokio::test]
async fn a_superuser_is_made_once_and_may_do_what_staff_may() {
    let operated = Operated::start().await;
    let make = |username: &str, email: &str, password: &str| {
        let arguments = ["users", "create-superuser", "--username", username, "--email", email];
        operated.command(&arguments).env("SUPERUSER_PASSWORD", password)
    };
    let ended = make("boss", "boss@example.com", PASSWORD).run().await;
    assert_eq!(succeeded(&ended), "made superuser boss with id 1\n");
    let login = operated.client.log_in("boss").await;
    let shown = send(operated.client.request(Method::GET, "/api/users/1/").bearer_auth(&login.access)).await;
    let shown = shown.expect(200).body;
    for right in ["is_active", "is_staff", "is_superuser", "email_verified"] {
        assert_eq!(shown[right], true, "{right}");
    }

    let again = make("boss", "another@example.com", NEW_PASSWORD).run().await;
    assert_eq!(
        (again.code, again.output.as_str()),
        (Some(3), "boss is there already; nothing was changed\n")
    );
    operated.client.try_log_in("boss", NEW_PASSWORD).await.expect(401);
    operated.client.tasks(&login).await.expect(200);

    for (username, email, password, named) in [
        ("b oss", "chief@example.com", NEW_PASSWORD, "--username"),
        ("chief", "nowhere", NEW_PASSWORD, "--email"),
        ("chief", "chief@example.com", "", "SUPERUSER_PASSWORD"),
        ("chief", "chief@example.com", "sunshine", "SUPERUSER_PASSWORD"),
        // Login trims: nobody could ever log in with it.
        ("chief", "chief@example.com", " another correct horse", "SUPERUSER_PASSWORD"),
    ] {
        let ended = make(username, email, password).run().await;
        assert_eq!((ended.code, ended.output.as_str()), (Some(2), ""), "{}", ended.log);
        assert!(ended.log.contains(named) && !ended.log.contains(NEW_PASSWORD), "{}", ended.log);
        assert!(!ended.log.contains("sunshine"), "{}", ended.log);
    }
    let accounts: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(operated.database.pool()).await.unwrap();
    assert_eq!(accounts, 1);
}
