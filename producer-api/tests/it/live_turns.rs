//! Streams that have to ask the database whether they may go on: they take turns, and see what is over while they wait.

use std::time::Duration;

use producer_api::config::RealtimeConfig;
use producer_api::realtime::LiveSettings;
use serde_json::json;
use shared::ids::{SessionId, UserId};
use test_support::eventually;
use test_support::live::Stream;
use tokio::time::{Instant, sleep};

use super::harness::{Api, claims_of, signed};
use super::live::{DEADLINE, PATH, bounds, open, opening};

const STREAMS: usize = 12;

/// A sliding token of the first user that is of no session here: the blacklist alone can end it before its time.
fn sliding(api: &Api) -> String {
    let now = api.now().timestamp();
    let token = json!({
        "token_type": "sliding", "exp": now + 300, "refresh_exp": now + 300, "iat": now, "jti": "a", "user_id": "1",
    });
    signed(&token.to_string())
}

async fn open_sliding(api: &Api) -> Stream {
    let mut stream = opening(api, PATH).bearer(&sliding(api)).open().await.unwrap();
    stream.shows("the list", |screen| screen.lists > 0).await;
    stream
}

/// Goes red when streams can take connections from requests, or none is left for one of the two things they read.
#[test]
fn streams_leave_half_of_the_connections_to_requests() {
    for (pool_max, readers, askers) in
        [(2, 1, 1), (3, 1, 1), (4, 1, 1), (6, 1, 2), (10, 2, 3), (16, 4, 4), (100, 4, 4)]
    {
        let LiveSettings { readers_max, askers_max, .. } =
            LiveSettings::of(&RealtimeConfig::default(), pool_max);
        assert_eq!((readers_max, askers_max), (readers, askers), "of {pool_max}");
    }
}

/// Goes red when streams end because there are many of them, where nothing is remembered and so nothing is ever fresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_ask_each_time_wait_for_their_turn_as_long_as_the_database_answers() {
    const MANY: u64 = 24;
    let mut bounds = bounds();
    (bounds.sockets_per_user, bounds.askers_max) = (24, 1);
    let api = Api::start_live(bounds, &[("ACCESS_TOKEN_REVOCATION", "none")]).await;
    let login = api.client.join("ada").await;
    let mut streams = Vec::new();
    for _ in 0..MANY {
        streams.push(open(&api, &login).await);
    }
    // One at a time, the last one waits twice as long as it would wait for a database that does not answer.
    api.execute("ALTER TABLE users RENAME TO kept_users").await;
    api.execute("CREATE VIEW users AS SELECT kept_users.* FROM kept_users, pg_sleep(0.2)").await;
    api.execute("GRANT SELECT ON users TO PUBLIC").await;
    let reads = api.state.standings.database_reads();
    eventually(DEADLINE, "every stream to have asked", async || {
        (api.state.standings.database_reads() >= reads + MANY).then_some(())
    })
    .await;
    for mut stream in streams {
        stream.quiet_for(Duration::from_millis(10)).await;
    }
}

/// Goes red when a stream that waits for its turn hears of nothing else: that its token runs out, or its session is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_waits_for_its_turn_ends_with_its_token_and_with_its_session() {
    for expected in [4401, 4403] {
        let mut bounds = bounds();
        bounds.askers_max = 1;
        let api = Api::start_live(bounds, &[]).await;
        let login = api.client.join("ada").await;
        let mut streams = Vec::new();
        for _ in 0..STREAMS {
            streams.push(open(&api, &login).await);
        }
        let mut transaction = api.database.pool().begin().await.unwrap();
        sqlx::query("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").execute(&mut *transaction).await.unwrap();
        let reads = api.state.standings.database_reads();
        api.state.standings.user_changed(UserId(login.user_id));
        eventually(DEADLINE, "the first to ask", async || {
            (api.state.standings.database_reads() > reads).then_some(())
        })
        .await;
        // All others come to look, too; nobody is told when.
        sleep(Duration::from_millis(300)).await;
        if expected == 4401 {
            api.advance(3_600);
        } else {
            let session = claims_of(&login.access)["sid"].as_str().unwrap().parse().unwrap();
            api.state.standings.session_ended(SessionId(session));
        }
        let mut codes = Vec::new();
        for mut stream in streams {
            codes.push(stream.closed().await.code.unwrap());
        }
        // One that asked already waits for its answer in vain.
        let right = codes.iter().filter(|code| **code == expected).count();
        assert!(right >= STREAMS - 3, "{codes:?}");
    }
}

/// Goes red when the blacklist is never asked for a stream that is open, so that its token outlives its logout there.
#[tokio::test]
async fn a_sliding_token_without_a_session_ends_its_stream_when_it_is_blacklisted() {
    let api = Api::start_live(bounds(), &[("AUTH_TOKEN_CLASSES", "SlidingToken")]).await;
    api.client.register("ada").await.expect(201);
    let mut stream = open_sliding(&api).await;
    blacklist(&api).await;
    let ended = Instant::now();
    assert_eq!(stream.closed().await.code, Some(4403));
    assert!(ended.elapsed() < Duration::from_secs(10), "closed only after {:?}", ended.elapsed());
}

async fn blacklist(api: &Api) {
    api.execute(
        "WITH token AS (
             INSERT INTO outstanding_tokens (jti, user_id, created_at, expires_at)
             VALUES ('a', 1, now(), now() + interval '1 day')
             RETURNING id
         )
         INSERT INTO blacklisted_tokens (token_id, blacklisted_at, reason) SELECT id, now(), 'logout' FROM token",
    )
    .await;
}

/// Goes red when streams whose standing is remembered ask for the blacklist all at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_take_turns_at_the_blacklist_too() {
    let mut bounds = bounds();
    bounds.askers_max = 2;
    let api = Api::start_live(bounds, &[("AUTH_TOKEN_CLASSES", "SlidingToken")]).await;
    api.client.register("ada").await.expect(201);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(open_sliding(&api).await);
    }
    // There is a row to be found, so that each question takes its time, whatever the plan.
    api.execute(
        "INSERT INTO outstanding_tokens (jti, created_at, expires_at) VALUES ('a', now(), now() + interval '1 day')",
    )
    .await;
    api.execute("ALTER TABLE outstanding_tokens RENAME TO kept_tokens").await;
    api.execute("CREATE VIEW outstanding_tokens AS SELECT kept_tokens.* FROM kept_tokens, pg_sleep(0.2)")
        .await;
    api.execute("GRANT SELECT ON outstanding_tokens TO PUBLIC").await;
    let asking = async || {
        api.count(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
        )
        .await
    };
    let mut most = eventually(DEADLINE, "the first to ask", async || match asking().await {
        0 => None,
        some => Some(some),
    })
    .await;
    for _ in 0..50 {
        most = most.max(asking().await);
        sleep(Duration::from_millis(20)).await;
    }
    assert!(most <= 2, "{most} asked at once");
    for mut stream in streams {
        stream.quiet_for(Duration::from_millis(10)).await;
    }
}
