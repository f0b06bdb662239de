//! The commands about accounts that have to wait, over the real binary: what they print, and what they do to a running API.

use serde_json::Value;
use shared::role::Role;
use test_support::api::PASSWORD;
use test_support::programs::{Ended, Program};
use test_support::{TestBroker, TestDatabase};

#[track_caller]
fn succeeded(ended: &Ended) -> &str {
    assert_eq!((ended.code, ended.log.as_str()), (Some(0), ""));
    &ended.output
}

/// Goes red when a command does nothing to a running API, or prints what a name of nobody was.
#[tokio::test]
async fn who_has_to_wait_is_listed_and_let_in_at_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let run = async |arguments: &[&str]| {
        let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
        arguments.iter().fold(program, |program, argument| program.arg(argument)).run().await
    };
    let api = Program::producer_api(&database, &broker)
        .env("LOGIN_FAILURES_PER_ACCOUNT", "2")
        .env("LOGIN_FAILURES_PER_ADDRESS", "7")
        .env("LOGIN_DELAY_FIRST", "15m");
    let api = api.start().await;
    let client = api.client();
    client.register("ada").await.expect(201);
    let guess = async |name: &str, times: usize| {
        for _ in 0..times {
            client.try_log_in(name, "wrong").await.expect(401);
        }
    };
    guess("ada", 2).await;
    guess("a mistyped password", 1).await;
    client.try_log_in("ada", PASSWORD).await.expect(429);

    let listed = run(&["limits", "list"]).await;
    let lines: Vec<Vec<&str>> =
        succeeded(&listed).lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "SCOPE OF FAILURES SINCE LAST TRY WAITS UNTIL");
    assert_eq!((&lines[1][..3], lines[1].len()), (&["account", "ada", "2"][..], 6), "who waits is first");
    assert_eq!((&lines[2][..3], lines[2].len()), (&["address", "127.0.0.1", "3"][..], 5));
    assert_eq!(lines[3][..6].join(" "), "account (a name of nobody) 1");
    let json = run(&["limits", "list", "--json"]).await;
    let first: Value = serde_json::from_str(succeeded(&json).lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["scope"], &first["subject"], &first["failures"]),
        (&"account".into(), &"ada".into(), &2.into())
    );
    assert!(first["locked_until"].is_string() && !json.output.contains("mistyped"), "{}", json.output);

    let unlock = ["users", "unlock", "--username", "ada"];
    assert_eq!(succeeded(&run(&unlock).await), "unlocked ada\n");
    client.log_in("ada").await;
    assert_eq!(succeeded(&run(&unlock).await), "ada has no wrong passwords; nothing was changed\n");
    let nobody = run(&["users", "unlock", "--username", "nobody"]).await;
    assert_eq!((nobody.code, nobody.output.as_str()), (Some(1), ""));
    assert!(nobody.log.contains(r#"there is no user "nobody""#), "{}", nobody.log);

    let clear = ["limits", "clear", "--user", "a mistyped password"];
    assert_eq!(succeeded(&run(&clear).await), "forgot what was counted of a mistyped password\n");
    for name in ["b", "c", "d", "e"] {
        guess(name, 1).await;
    }
    client.try_log_in("ada", PASSWORD).await.expect(429);
    let clear = ["limits", "clear", "--address", "127.0.0.1"];
    assert_eq!(succeeded(&run(&clear).await), "forgot what was counted of 127.0.0.1\n");
    client.log_in("ada").await;
    let clear = ["limits", "clear", "--address", "2001:db8::/64"];
    assert_eq!(succeeded(&run(&clear).await), "nothing is counted of 2001:db8::; nothing was changed\n");
    assert_eq!(
        succeeded(&run(&["limits", "clear", "--all"]).await),
        "forgot the wrong passwords of 4 name(s) and address(es), and who asked for mails\n"
    );
    assert_eq!(succeeded(&run(&["limits", "list", "--json"]).await), "");
    for wrong in [&["limits", "clear"][..], &["limits", "clear", "--all", "--user", "ada"]] {
        assert_eq!(run(wrong).await.code, Some(2));
    }
}

/// Goes red when whoever asked for too many mails can't be seen or helped, or is listed before he has to wait.
#[tokio::test]
async fn who_asked_for_too_many_mails_is_listed_and_may_ask_again_at_once() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let run = async |arguments: &[&str]| {
        let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
        arguments.iter().fold(program, |program, argument| program.arg(argument)).run().await
    };
    let api = Program::producer_api(&database, &broker).env("MAIL_REQUESTS_PER_ADDRESS", "2").start().await;
    let client = api.client();
    client.register("ada").await.expect(201);
    assert_eq!(succeeded(&run(&["limits", "list", "--json"]).await), "", "everybody who registers asks");
    client.register("bea").await.expect(201);
    client.register("eve").await.expect(429);
    let listed = run(&["limits", "list"]).await;
    let lines: Vec<&str> = succeeded(&listed).lines().collect();
    let words: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((&words[..3], words.len(), lines.len()), (&["mail_asker", "127.0.0.1", "2"][..], 6, 2));
    let clear = ["limits", "clear", "--address", "127.0.0.1"];
    assert_eq!(succeeded(&run(&clear).await), "forgot what was counted of 127.0.0.1\n");
    client.register("eve").await.expect(201);
}

#[tokio::test]
async fn all_accounts_are_listed_for_people_and_for_programs() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let api = Program::producer_api(&database, &broker).start().await;
    for name in ["ada", "grace"] {
        api.client().register(name).await.expect(201);
    }
    let people = "INSERT INTO users (username, email, password, date_joined, is_staff, is_active)
        SELECT 'user' || n, '', '!', '2026-01-02T03:04:05Z', true, false FROM generate_series(1, 1500) AS n";
    sqlx::query(people).execute(database.pool()).await.unwrap();
    let run = async |arguments: &[&str]| {
        let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
        arguments.iter().fold(program, |program, argument| program.arg(argument)).run().await
    };
    let listed = run(&["users", "list"]).await;
    let lines: Vec<&str> = succeeded(&listed).lines().collect();
    assert_eq!(lines.len(), 1_503);
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(words(0), "ID USERNAME EMAIL VERIFIED ACTIVE RIGHTS JOINED LAST LOGIN");
    assert!(words(1).starts_with("1 ada ada@example.com no yes 20"), "{}", lines[1]);
    assert_eq!(words(1_502), "1502 user1500 no no staff 2026-01-02T03:04:05Z");
    let json = run(&["users", "list", "--json"]).await;
    let users: Vec<Value> =
        succeeded(&json).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((users.len(), &users[1]["username"]), (1_502, &"grace".into()));
    assert!(!json.output.contains("argon2"), "no hash is shown");
}
