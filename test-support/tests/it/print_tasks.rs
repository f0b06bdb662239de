//! `producer-api tasks print`, over the real binary: what it displays, how it ends, and how it goes on.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use shared::role::Role;
use test_support::environment;
use test_support::faults::PrivatePostgres;
use test_support::machine::peak_resident_kilobytes;
use test_support::programs::{Program, RunningProgram};
use test_support::{TestDatabase, eventually};

const DEADLINE: Duration = Duration::from_mins(1);

async fn plant(database: &TestDatabase, tasks: i32) {
    sqlx::raw_sql(
        "INSERT INTO users (username, email, password, date_joined) VALUES ('ada', 'ada@example.org', '!', now())
         ON CONFLICT DO NOTHING",
    )
    .execute(database.pool())
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO tasks (user_id, title, duration, created_at, updated_at)
         SELECT users.id, 'task ' || n, '90s', '2026-11-21', '2026-11-21' FROM users, generate_series(1, $1) AS n",
    )
    .bind(tasks)
    .execute(database.pool())
    .await
    .unwrap();
}

fn print(database: &TestDatabase, arguments: &[&str]) -> Program {
    let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
    ["tasks", "print"].iter().chain(arguments).fold(program, |program, argument| program.arg(argument))
}

/// The ids of the displayed tasks; nothing else may be on standard output.
fn ids(output: &str) -> Vec<i64> {
    let id = |line: &str| line.strip_prefix("task ").unwrap().split(' ').next().unwrap().parse().unwrap();
    output.lines().map(id).collect()
}

async fn wait_for_lines(program: &RunningProgram, lines: usize) {
    eventually(DEADLINE, format!("{lines} displayed tasks"), async || {
        (program.output().lines().count() >= lines).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_tasks_are_displayed_in_order_and_a_title_can_not_colour_the_terminal() {
    let database = TestDatabase::create().await;
    plant(&database, 2_500).await;
    sqlx::query("UPDATE tasks SET title = E'a\"b\\n\\x1b[31m' WHERE id = 1")
        .execute(database.pool())
        .await
        .unwrap();
    let ended = print(&database, &["--interval", "0s"]).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    assert_eq!(ids(&ended.output), (1..=2_500).collect::<Vec<_>>());
    let first = r#"task 1 of user 1 (ada): "a\"b\n\u{1b}[31m", 00:01:30, created 2026-11-21T00:00:00Z, updated 2026-11-21T00:00:00Z"#;
    assert_eq!(ended.output.lines().next().unwrap(), first);
    assert!(ended.log.contains(" of about 2500]"), "{}", ended.log);
    assert!(ended.log.ends_with("displayed 2500 task(s), the last is 2500\n"), "{}", ended.log);
    let behind = print(&database, &["--interval", "0s", "--after", "2498", "--json"]).run().await;
    let tasks: Vec<serde_json::Value> =
        behind.output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((tasks.len(), &tasks[0]["id"], &tasks[1]["title"]), (2, &2499.into(), &"task 2500".into()));
}

#[tokio::test]
async fn asked_to_stop_it_ends_within_a_moment_and_says_how_to_go_on() {
    let database = TestDatabase::create().await;
    plant(&database, 3).await;
    let mut walk = print(&database, &["--interval", "1h"]).spawn();
    wait_for_lines(&walk, 1).await;
    assert_eq!(walk.terminate().await.code(), Some(0));
    assert!(walk.log().ends_with("displayed 1 task(s); go on with --after 1\n"), "{}", walk.log());
    assert_eq!(ids(&walk.output()), [1]);
}

#[tokio::test]
async fn killed_it_goes_on_where_it_was_and_finds_what_was_made_meanwhile() {
    let database = TestDatabase::create().await;
    plant(&database, 300).await;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("place");
    let arguments = ["--interval", "5ms", "--resume-file", place.to_str().unwrap()];
    let mut walk = print(&database, &arguments).spawn();
    wait_for_lines(&walk, 20).await;
    walk.kill();
    let before = ids(&walk.output());
    plant(&database, 10).await;
    let ended = print(&database, &arguments).run().await;
    assert_eq!(ended.code, Some(0), "{}", ended.log);
    let after = ids(&ended.output);
    // What was displayed and not yet written down when it was killed is displayed once more.
    let last = *before.last().unwrap();
    assert!(after[0] == last || after[0] == last + 1, "{last} {}", after[0]);
    assert_eq!(after, (after[0]..=310).collect::<Vec<_>>());
    std::fs::write(&place, "here").unwrap();
    let refused = print(&database, &arguments).run().await;
    assert_eq!((refused.code, refused.output.as_str()), (Some(1), ""));
    assert!(refused.log.contains("holds no task id; delete it to begin anew"), "{}", refused.log);
}

#[tokio::test]
async fn it_waits_for_a_database_that_is_away_and_goes_on() {
    let mut server = PrivatePostgres::start().await;
    let database = server.database().await;
    plant(&database, 12).await;
    let mut walk = print(&database, &["--interval", "1s"]).spawn();
    wait_for_lines(&walk, 2).await;
    server.stop().await;
    eventually(DEADLINE, "the outage to be told", async || {
        walk.log().contains("the database does not answer").then_some(())
    })
    .await;
    server.start_again().await;
    assert_eq!(walk.ended().await.code(), Some(0), "{}", walk.log());
    assert_eq!(ids(&walk.output()), (1..=12).collect::<Vec<_>>());
}

/// Goes red when it holds what it has read.
#[tokio::test]
async fn twenty_times_as_many_tasks_need_no_more_memory() {
    let database = TestDatabase::create().await;
    let mut peaks = Vec::new();
    for (planted, in_all) in [(10_000, 10_000), (190_000, 200_000)] {
        plant(&database, planted).await;
        let mut walk = print(&database, &["--interval", "0s"]).spawn();
        let pid = walk.pid();
        let watching = tokio::spawn(async move {
            let mut peak = 0;
            loop {
                peak = match peak_resident_kilobytes(pid) {
                    0 => return peak,
                    now => now,
                };
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        assert_eq!(walk.ended().await.code(), Some(0), "{}", walk.log());
        assert_eq!(walk.output().lines().count(), in_all);
        peaks.push(watching.await.unwrap());
    }
    // 190,000 tasks held would be tens of megabytes.
    assert!(peaks[0] > 0 && peaks[1] < peaks[0] + 4 * 1024, "{peaks:?} kB");
}

/// As `| head -1` does it. Goes red when it ends with an error or with words, or doesn't end.
#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_it_quietly() {
    let database = TestDatabase::create().await;
    // More than a pipe holds.
    plant(&database, 20_000).await;
    for (interval, resume) in [("0s", false), ("10ms", false), ("10ms", true)] {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("place");
        let mut command = Command::new(environment::programs_folder().join("producer-api"));
        command.args(["tasks", "print", "--interval", interval]);
        if resume {
            command.arg("--resume-file").arg(&place);
        }
        command.env("DATABASE_URL", database.url_as(Role::ProducerApi)).env("LOG_FORMAT", "text");
        let mut walk = Walk(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        // The pipe is closed at the end of this statement.
        BufReader::new(walk.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("task 1 of user 1"), "{line}");
        let status = eventually(DEADLINE, "the walk to end", async || walk.0.try_wait().unwrap()).await;
        let mut told = String::new();
        walk.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(status.code(), Some(0), "{told}");
        let is_progress = |line: &str| line.starts_with('[') && line.ends_with(']');
        assert!(told.lines().all(is_progress), "{told}");
        if resume {
            // Its place is that of what was displayed, not of what was read: a hundred at once.
            let place: i64 = std::fs::read_to_string(&place).unwrap().trim().parse().unwrap();
            assert!((1..100).contains(&place), "{place}");
        }
    }
}

/// It is killed when this is dropped.
struct Walk(Child);

impl Drop for Walk {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
