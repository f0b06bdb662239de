//! Standings over a real database: warm without a query, and never behind by more than their bound.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use producer_api::sessions::standing::{Changes, FRESH_FOR, Follower, Standing, Standings};
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};
use shared::lifecycle::{self, Health};
use shared::role::Role;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use test_support::faults::PrivatePostgres;
use test_support::{TestDatabase, environment, eventually, settled};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// For tests that are not about staleness: a busy machine must not make them so.
pub(crate) const EVER: Duration = Duration::from_hours(1);
const DEADLINE: Duration = Duration::from_secs(30);
/// What the product promises.
const BOUND: Duration = Duration::from_secs(2);

pub(crate) async fn add_user(pool: &PgPool) -> UserId {
    let name = Entropy::system().uuid_v4().to_string();
    sqlx::query_scalar(
        "INSERT INTO users (username, email, password, date_joined) VALUES ($1, 'a@b.example', '!', now())
         RETURNING id",
    )
    .bind(name)
    .fetch_one(pool)
    .await
    .unwrap()
}

pub(crate) async fn add_session(pool: &PgPool, user: UserId) -> SessionId {
    sqlx::query_scalar(
        "INSERT INTO user_sessions (id, user_id, login_time) VALUES ($1, $2, now()) RETURNING id",
    )
    .bind(Entropy::system().uuid_v4())
    .bind(user)
    .fetch_one(pool)
    .await
    .unwrap()
}

const END: &str =
    "UPDATE user_sessions SET is_active = false, logout_time = now(), end_reason = 'logout' WHERE id = $1";

async fn end_by_sql(pool: &PgPool, session: SessionId) {
    sqlx::query(END).bind(session).execute(pool).await.unwrap();
}

/// Ends the connections of all followers of this database; says how many there were.
async fn cut_off_followers(pool: &PgPool) -> i64 {
    sqlx::query_scalar(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND query LIKE '%pg_visible_in_snapshot%' AND pid <> pg_backend_pid()",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// A replica that has read once what changed, and reads again when the test says so.
struct Replica {
    standings: Standings,
    follower: Follower,
}

impl Replica {
    async fn over(pool: &PgPool) -> Self {
        let standings = Standings::remembering(pool.clone(), EVER);
        let mut replica = Self { follower: standings.follower(), standings };
        assert!(replica.read().await.anew, "the first read is where it begins");
        replica
    }

    async fn read(&mut self) -> Changes {
        self.follower.read_changes_once().await.unwrap()
    }

    async fn of(&self, user: UserId, session: SessionId) -> Standing {
        self.standings.of(user, Some(session)).await.unwrap()
    }
}

/// Counted, and then proved: it answers without any database.
#[tokio::test]
async fn a_warm_replica_asks_the_database_nothing() {
    let database = TestDatabase::create().await;
    let user = add_user(database.pool()).await;
    let session = add_session(database.pool(), user).await;
    let pool = PgPool::connect(&database.url_as(Role::ProducerApi)).await.unwrap();
    let replica = Replica::over(&pool).await;
    let first = replica.of(user, session).await;
    assert!(first.session_active && first.user.as_ref().unwrap().is_active);
    assert_eq!(replica.standings.database_reads(), 1, "the first sight of it");
    pool.close().await;
    for _ in 0..10_000 {
        assert_eq!(replica.of(user, session).await, first);
    }
    assert!(replica.standings.of(user, None).await.unwrap().session_active, "a token without a session");
    assert_eq!(replica.standings.database_reads(), 1);
    assert!(replica.standings.of(UserId(user.0 + 1), None).await.is_err(), "what is not known must be asked");
}

#[tokio::test]
async fn a_session_is_active_for_its_own_user_alone() {
    let database = TestDatabase::create().await;
    let (user, other) = (add_user(database.pool()).await, add_user(database.pool()).await);
    let session = add_session(database.pool(), user).await;
    let replica = Replica::over(database.pool()).await;
    for _ in 0..2 {
        assert!(!replica.of(other, session).await.session_active);
        assert!(replica.of(user, session).await.session_active);
        let nobody = replica.of(UserId(0), session).await;
        assert_eq!(nobody, Standing { user: None, session_active: false });
        let unheard_of = SessionId(Entropy::seeded(1).uuid_v4());
        assert!(!replica.of(user, unheard_of).await.session_active);
    }
}

#[tokio::test]
async fn whoever_ends_a_session_or_changes_a_user_the_next_read_tells() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let mut replica = Replica::over(pool).await;
    for (statement, ends_session) in [
        (END, true),
        ("DELETE FROM user_sessions WHERE id = $1", true),
        (
            "UPDATE users SET is_active = false WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET username = 'renamed' WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET is_staff = true WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET is_superuser = true WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET password = 'another' WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET password_stamp = gen_random_uuid()
             WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET imported_password_md5 = NULL
             WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET password_changed_at = now()
             WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        (
            "UPDATE users SET date_joined = date_joined + interval '1 day'
             WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)",
            false,
        ),
        ("DELETE FROM users WHERE id = (SELECT user_id FROM user_sessions WHERE id = $1)", true),
    ] {
        let user = add_user(pool).await;
        // Rehashed after an import: a mark of Django's is known of him.
        let rehash =
            "UPDATE users SET password = '$argon2id$rehashed', imported_password_md5 = 'MARK' WHERE id = $1";
        sqlx::query(rehash).bind(user).execute(pool).await.unwrap();
        replica.read().await;
        let session = add_session(pool, user).await;
        let before = replica.of(user, session).await;
        assert!(before.session_active);
        sqlx::query(statement).bind(session).execute(pool).await.unwrap();
        assert_eq!(replica.of(user, session).await, before, "nobody has told this replica yet: {statement}");
        replica.read().await;
        let after = replica.of(user, session).await;
        assert_eq!(after.session_active, !ends_session, "{statement}");
        assert_eq!(after, Standings::reading_each_time(pool.clone()).of(user, Some(session)).await.unwrap());
        assert_ne!(after, before, "{statement}");
    }
}

/// The triggers have the rights of their owner: who may end sessions needs no right to the table of changes.
#[tokio::test]
async fn a_role_that_may_only_end_sessions_is_noticed_like_any_other() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let session = add_session(pool, user).await;
    let mut replica = Replica::over(pool).await;
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("GRANT UPDATE ON user_sessions TO warren_operator").execute(&mut *transaction).await.unwrap();
    sqlx::query("SET LOCAL ROLE warren_operator").execute(&mut *transaction).await.unwrap();
    sqlx::query(END).bind(session).execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(replica.read().await.sessions, [session]);
}

/// A login writes these all the time; were they changes, nothing would ever be warm.
#[tokio::test]
async fn what_requests_are_not_judged_by_is_no_change() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let session = add_session(pool, user).await;
    let mut replica = Replica::over(pool).await;
    for statement in [
        "UPDATE users SET last_login = now(), login_failures = 3, email = 'c@d.example'",
        "UPDATE users SET is_active = is_active, username = username",
        "UPDATE user_sessions SET user_agent = 'another'",
    ] {
        sqlx::query(statement).execute(pool).await.unwrap();
    }
    add_session(pool, user).await;
    end_by_sql(pool, session).await;
    sqlx::query("DELETE FROM user_sessions WHERE NOT is_active").execute(pool).await.unwrap();
    let expected = Changes { anew: false, sessions: vec![session], users: Vec::new() };
    assert_eq!(replica.read().await, expected, "it ended once, and deleting what is over is no news");
    assert_eq!(replica.read().await, Changes::default());
}

/// By time or by the highest number seen, its changes would be passed over.
#[tokio::test]
async fn a_transaction_that_began_before_two_reads_and_commits_after_them_is_noticed() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let (slow, quick) = (add_session(pool, user).await, add_session(pool, user).await);
    let mut replica = Replica::over(pool).await;
    assert!(replica.of(user, slow).await.session_active);
    let mut long = pool.begin().await.unwrap();
    sqlx::query(END).bind(slow).execute(&mut *long).await.unwrap();
    assert_eq!(replica.read().await, Changes::default());
    end_by_sql(pool, quick).await;
    assert_eq!(replica.read().await.sessions, [quick]);
    assert_eq!(replica.read().await, Changes::default(), "and nothing twice while the long one goes on");
    assert!(replica.of(user, slow).await.session_active);
    long.commit().await.unwrap();
    assert_eq!(replica.read().await.sessions, [slow]);
    assert!(!replica.of(user, slow).await.session_active);
}

/// Writers that are long and short, that commit and roll back, also to savepoints, against a reader that never rests.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_committed_change_is_read_exactly_once() {
    const WRITERS: u64 = 6;
    const TRANSACTIONS: usize = 60;
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let mut replica = Replica::over(pool).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|seed| {
            let (pool, chance) = (pool.clone(), Entropy::seeded(seed));
            tokio::spawn(async move {
                for _ in 0..TRANSACTIONS {
                    let [commits, saves, waits] = chance.bytes();
                    let session = add_session(&pool, user).await;
                    let mut transaction = pool.begin().await.unwrap();
                    let mut part = transaction.begin().await.unwrap();
                    sqlx::query(END).bind(session).execute(&mut *part).await.unwrap();
                    if saves % 4 == 0 { part.rollback().await } else { part.commit().await }.unwrap();
                    let wait = f64::from(waits) / 255.0 * 0.05;
                    sqlx::query("SELECT pg_sleep($1)").bind(wait).execute(&mut *transaction).await.unwrap();
                    if commits % 4 == 0 { transaction.rollback().await } else { transaction.commit().await }
                        .unwrap();
                }
            })
        })
        .collect();
    let mut read = HashMap::<SessionId, u32>::new();
    let mut count = |changes: Changes| {
        assert!(!changes.anew);
        changes.sessions.into_iter().for_each(|session| *read.entry(session).or_default() += 1);
    };
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        count(replica.read().await);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    count(replica.read().await);
    let ended: Vec<SessionId> =
        sqlx::query_scalar("SELECT id FROM user_sessions WHERE NOT is_active").fetch_all(pool).await.unwrap();
    assert!(ended.len() > 100, "{} sessions ended", ended.len());
    assert_eq!(read, ended.into_iter().map(|session| (session, 1)).collect());
}

#[tokio::test]
async fn more_changes_than_one_read_takes_make_the_replica_forget_and_begin_anew() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let session = add_session(pool, user).await;
    let mut replica = Replica::over(pool).await;
    replica.of(user, session).await;
    sqlx::query(
        "INSERT INTO users (username, email, password, date_joined)
         SELECT 'user' || n, 'a@b.example', '!', now() FROM generate_series(1, 10001) AS n",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query("UPDATE users SET is_active = false").execute(pool).await.unwrap();
    assert!(replica.read().await.anew);
    assert!(!replica.of(user, session).await.user.unwrap().is_active);
    end_by_sql(pool, session).await;
    assert_eq!(replica.read().await.sessions, [session], "and it goes on from there");
}

#[tokio::test]
async fn a_full_pool_keeps_nobody_from_following() {
    let database = TestDatabase::create().await;
    let pool =
        PgPoolOptions::new().max_connections(1).connect(&database.url_as(Role::ProducerApi)).await.unwrap();
    let mut replica = Replica::over(&pool).await;
    let _all_of_it = pool.acquire().await.unwrap();
    assert!(pool.try_acquire().is_none());
    assert_eq!(replica.read().await, Changes::default());
}

#[tokio::test]
async fn a_server_that_was_started_again_is_followed_anew() {
    let mut server = PrivatePostgres::start().await;
    let database = server.database().await;
    let mut replica = Replica::over(database.pool()).await;
    server.kill().await;
    assert!(replica.follower.read_changes_once().await.is_err());
    server.start_again().await;
    let changes = eventually(DEADLINE, "the server to answer", async || {
        replica.follower.read_changes_once().await.ok()
    })
    .await;
    assert!(changes.anew);
    assert_eq!(replica.read().await, Changes::default());
}

/// Goes red when a position outlives its connection: after the crash of one backend PostgreSQL recovers with the same
/// start time, and hands out the numbers of transactions again that were not on disk.
#[tokio::test]
async fn a_follower_whose_connection_was_cut_begins_anew() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let session = add_session(pool, user).await;
    let mut replica = Replica::over(pool).await;
    assert!(replica.of(user, session).await.session_active);
    assert_eq!(replica.read().await, Changes::default());
    assert_eq!(cut_off_followers(pool).await, 1);
    assert!(replica.follower.read_changes_once().await.is_err());
    // What a crash does to a position can't be told from this read, so nothing is left to it.
    assert!(replica.read().await.anew);
    let reads = replica.standings.database_reads();
    assert!(replica.of(user, session).await.session_active);
    assert_eq!(replica.standings.database_reads(), reads + 1, "it was forgotten");
    assert_eq!(replica.read().await, Changes::default(), "and it goes on from there");
}

/// Such rows come with a dump. Goes red when they are changes: there they never become visible in a snapshot, and each
/// read takes them again.
#[tokio::test]
async fn changes_with_transactions_of_another_cluster_are_no_changes() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let session = add_session(pool, add_user(pool).await).await;
    let mut replica = Replica::over(pool).await;
    sqlx::query(
        "INSERT INTO standing_changes (user_id, transaction)
         SELECT n, '1000000000000' FROM generate_series(1, 10001) AS n",
    )
    .execute(pool)
    .await
    .unwrap();
    let changes = replica.read().await;
    assert_eq!((changes.anew, changes.users.len()), (false, 0));
    end_by_sql(pool, session).await;
    assert_eq!(replica.read().await.sessions, [session], "and changes of this one are");
}

#[tokio::test]
async fn without_a_recent_read_every_check_asks_the_database() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let session = add_session(pool, user).await;
    let never_read = Standings::remembering(pool.clone(), FRESH_FOR);
    let always_stale = Standings::remembering(pool.clone(), Duration::ZERO);
    always_stale.follower().read_changes_once().await.unwrap();
    let replicas = [never_read, always_stale, Standings::reading_each_time(pool.clone())];
    for standings in &replicas {
        for reads in 1..=5 {
            assert!(standings.of(user, Some(session)).await.unwrap().session_active);
            assert_eq!(standings.database_reads(), reads);
        }
        assert!(!standings.is_fresh());
    }
    end_by_sql(pool, session).await;
    for standings in replicas {
        assert!(!standings.of(user, Some(session)).await.unwrap().session_active, "at once");
    }
}

/// Checks until a check is refused: how long after now the last one that was accepted began.
async fn accepted_for(standings: &Standings, user: UserId, session: SessionId) -> Duration {
    let committed = Instant::now();
    let mut last_accepted = committed;
    loop {
        let checked = Instant::now();
        if !standings.of(user, Some(session)).await.unwrap().session_active {
            return last_accepted - committed;
        }
        last_accepted = checked;
        tokio::task::yield_now().await;
    }
}

/// What a broker that is down, blocked, behind or half gone comes to: nobody tells this replica but the database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_notice_an_end_is_effective_within_two_seconds() {
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let standings = Standings::remembering(pool.clone(), FRESH_FOR);
    let (stop, health) = (CancellationToken::new(), Health::default());
    let component = health.component("standings", lifecycle::Standing::Supporting);
    let end = tokio::spawn(standings.clone().follow(component, stop.clone()));
    eventually(DEADLINE, "the first read", async || standings.is_fresh().then_some(())).await;
    assert_eq!(health.readiness().checks["standings"], "up");
    for _ in 0..3 {
        let session = add_session(pool, user).await;
        assert!(standings.of(user, Some(session)).await.unwrap().session_active);
        end_by_sql(pool, session).await;
        let late = accepted_for(&standings, user, session).await;
        assert!(late < BOUND, "accepted {late:?} after the end was committed");
    }
    stop.cancel();
    end.await.unwrap().unwrap();
}

/// The follower is cut off, and nothing else is: connections that are open stay, new ones are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_can_not_follow_says_so_and_asks_the_database_for_each_request() {
    let database = TestDatabase::create().await;
    let pool = PgPoolOptions::new()
        .min_connections(2)
        .max_connections(2)
        .connect(&database.url_as(Role::ProducerApi))
        .await
        .unwrap();
    let user = add_user(&pool).await;
    let session = add_session(&pool, user).await;
    let standings = Standings::remembering(pool.clone(), FRESH_FOR);
    let (stop, health) = (CancellationToken::new(), Health::default());
    let component = health.component("standings", lifecycle::Standing::Supporting);
    let end = tokio::spawn(standings.clone().follow(component, stop.clone()));
    eventually(DEADLINE, "the first read", async || standings.is_fresh().then_some(())).await;
    assert!(standings.of(user, Some(session)).await.unwrap().session_active);

    let mut server = PgConnection::connect(&environment::database_url()).await.unwrap();
    let name: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&pool).await.unwrap();
    let mut allow_connections = async |allowed: bool| {
        let statement = format!(r#"ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {allowed}"#);
        sqlx::query(AssertSqlSafe(statement)).execute(&mut server).await.unwrap();
    };
    allow_connections(false).await;
    assert_eq!(cut_off_followers(&pool).await, 1, "the follower has one connection");
    end_by_sql(&pool, session).await;
    let late = accepted_for(&standings, user, session).await;
    assert!(late < BOUND, "accepted {late:?} after the end was committed");
    let state = || health.readiness().checks["standings"].clone();
    eventually(DEADLINE, "the follower to be down", async || {
        state().starts_with("every request asks the database").then_some(())
    })
    .await;
    assert_eq!(health.readiness().status, "degraded", "requests are answered all the same");
    let another = add_session(&pool, user).await;
    let reads = standings.database_reads();
    assert!(standings.of(user, Some(another)).await.unwrap().session_active);
    end_by_sql(&pool, another).await;
    assert!(!standings.of(user, Some(another)).await.unwrap().session_active, "at once");
    assert_eq!(standings.database_reads(), reads + 2);

    allow_connections(true).await;
    settled(DEADLINE, "the follower to be up", "up".to_owned(), async || state()).await;
    stop.cancel();
    end.await.unwrap().unwrap();
}

/// Each session is new, so that the end races with its first use: with the fill. 10,000 checks in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_ten_thousand_checks_none_is_accepted_after_the_end_was_told() {
    const ROUNDS: usize = 100;
    const CHECKERS: usize = 10;
    const CHECKS: usize = 10;
    let database = TestDatabase::create().await;
    let pool = database.pool();
    let user = add_user(pool).await;
    let replica = Replica::over(pool).await;
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let session = add_session(pool, user).await;
        // As a logout on this replica does it: what it changed of the user makes every fill race, too.
        replica.standings.user_changed(user);
        let told = Arc::new(AtomicBool::new(false));
        let checkers: Vec<_> = (0..CHECKERS)
            .map(|_| {
                let (standings, told) = (replica.standings.clone(), told.clone());
                tokio::spawn(async move {
                    let mut accepted = 0;
                    for _ in 0..CHECKS {
                        let after = told.load(Ordering::SeqCst);
                        let is_active = standings.of(user, Some(session)).await.unwrap().session_active;
                        assert!(!(is_active && after), "accepted after the end was told");
                        accepted += usize::from(is_active);
                        tokio::task::yield_now().await;
                    }
                    accepted
                })
            })
            .collect();
        end_by_sql(pool, session).await;
        replica.standings.session_ended(session);
        told.store(true, Ordering::SeqCst);
        for checker in checkers {
            let of_checker = checker.await.unwrap();
            accepted += of_checker;
            refused += CHECKS - of_checker;
        }
        assert!(!replica.of(user, session).await.session_active, "nor remembered as live");
    }
    assert_eq!(accepted + refused, 10_000);
    assert!(accepted > 0 && refused > 0, "{accepted} accepted, {refused} refused: no race");
}
