//! SimpleJWT itself takes our tokens, and we take its, for each family of algorithms.

use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, Login, PASSWORD, send};
use test_support::programs::{Program, RunningProgram, SIGNING_KEY};
use test_support::simplejwt::{KeyPair, SimpleJwt, TokenClass, key_pair};
use test_support::{TestBroker, TestDatabase};

/// Warren and a Django service with one key between them, and a user whom both know.
struct Both {
    ours: RunningProgram,
    peer: SimpleJwt,
    login: Login,
    _database: TestDatabase,
    _broker: TestBroker,
}

fn keys(algorithm: &str) -> KeyPair {
    if algorithm.starts_with("HS") {
        return KeyPair { private: SIGNING_KEY.to_owned(), public: String::new() };
    }
    key_pair(algorithm)
}

fn peer(algorithm: &str, keys: &KeyPair) -> SimpleJwt {
    SimpleJwt::start(
        json!({ "ALGORITHM": algorithm, "SIGNING_KEY": keys.private, "VERIFYING_KEY": keys.public }),
    )
}

impl Both {
    async fn start(algorithm: &str) -> Self {
        let keys = keys(algorithm);
        let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
        let program = Program::producer_api(&database, &broker);
        let ours = program.env("ALGORITHM", algorithm).env("SIGNING_KEY", &keys.private).start().await;
        let mut peer = peer(algorithm, &keys);
        let login = ours.client().join("froggly").await;
        peer.create_user(login.user_id, "froggly", PASSWORD);
        Self { ours, peer, login, _database: database, _broker: broker }
    }

    /// Our protected route with any token.
    async fn our_tasks(&self, token: &str) -> Answer {
        send(self.ours.client().request(Method::GET, "/api/tasks/").bearer_auth(token)).await
    }

    /// The peer's protected route with any token.
    fn their_tasks(&mut self, token: &str) -> u16 {
        let header = ("authorization".to_owned(), format!("Bearer {token}"));
        self.peer.request("GET", "/api/tasks/", &[header], b"").status
    }
}

async fn the_peer_takes_our_tokens(algorithm: &str) {
    let mut both = Both::start(algorithm).await;
    let login = both.login.clone();
    for (token, class, kind, lifetime) in [
        (&login.access, TokenClass::Access, "access", 300),
        (&login.refresh, TokenClass::Refresh, "refresh", 86_400),
    ] {
        let claims = both.peer.verify(token, class).unwrap();
        assert_claims(&claims, kind, lifetime, login.user_id);
        both.peer.verify(token, TokenClass::Untyped).unwrap();
    }
    assert_eq!(both.peer.verify(&login.access, TokenClass::Refresh), Err("Token has wrong type".to_owned()));
    assert_eq!(both.their_tasks(&login.access), 200, "{algorithm}");
    assert_eq!(both.their_tasks(&login.refresh), 401, "{algorithm}");
    both.peer.delete_user(login.user_id);
    assert_eq!(both.their_tasks(&login.access), 401, "{algorithm}: nobody of that id");
}

/// Names and types as SimpleJWT makes them; the session's id is all that we add.
#[track_caller]
fn assert_claims(claims: &Value, kind: &str, lifetime: i64, user_id: i64) {
    let mut names: Vec<&str> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.retain(|name| *name != "sid");
    assert_eq!(names, ["exp", "iat", "jti", "token_type", "user_id"], "{claims}");
    assert_eq!(claims["token_type"], kind);
    assert_eq!(claims["user_id"], user_id.to_string(), "a text, as from 5.5.1 on");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), lifetime);
    let jti = claims["jti"].as_str().unwrap();
    assert!(uuid::Uuid::try_parse(jti).is_ok_and(|id| id.simple().to_string() == jti), "{jti}");
}

async fn we_take_the_peers_tokens(algorithm: &str) {
    let mut both = Both::start(algorithm).await;
    let client = both.ours.client();
    let (refresh, access) = both.peer.mint(both.login.user_id);
    both.our_tasks(&access).await.expect(200);
    both.our_tasks(&refresh).await.expect(401);
    client.verify(&access).await.expect(200);
    client.verify(&refresh).await.expect(200);

    let refreshed = client.refresh(&refresh).await.expect(200);
    both.our_tasks(refreshed.text("access")).await.expect(200);
    let claims = both.peer.verify(refreshed.text("access"), TokenClass::Access).unwrap();
    assert_claims(&claims, "access", 300, both.login.user_id);

    client.blacklist(&refresh).await.expect(200);
    for refused in [client.blacklist(&refresh).await, client.refresh(&refresh).await] {
        let body = json!({ "detail": "Token is blacklisted", "code": "token_not_valid" });
        assert_eq!(refused.expect(401).body, body, "{algorithm}");
    }
}

async fn both_refuse_another_key(algorithm: &str) {
    let mut both = Both::start(algorithm).await;
    let others = if algorithm.starts_with("HS") {
        KeyPair { private: "another key that signs tokens of tests alone".to_owned(), public: String::new() }
    } else {
        key_pair(algorithm)
    };
    let mut stranger = peer(algorithm, &others);
    stranger.create_user(both.login.user_id, "froggly", PASSWORD);
    let (refresh, access) = stranger.mint(both.login.user_id);
    let answer = both.our_tasks(&access).await.expect(401);
    assert_eq!(answer.body["messages"][0]["message"], "Token is invalid");
    let client = both.ours.client();
    for refused in
        [client.refresh(&refresh).await, client.verify(&access).await, client.blacklist(&refresh).await]
    {
        assert_eq!(refused.expect(401).text("detail"), "Token is invalid", "{algorithm}");
    }
    for (token, class) in [(&access, TokenClass::Access), (&refresh, TokenClass::Refresh)] {
        assert_eq!(both.peer.verify(token, class), Err("Token is invalid".to_owned()));
    }
    assert_eq!(both.their_tasks(&access), 401);
}

/// One test for each algorithm and promise, so that each can fail alone.
macro_rules! for_each_algorithm {
    ($($module:ident: $algorithm:literal;)+) => {$(
        mod $module {
            // Goes red if claims, header, key or algorithm of our tokens are not SimpleJWT's.
            #[tokio::test]
            async fn the_peer_takes_our_tokens() {
                super::the_peer_takes_our_tokens($algorithm).await;
            }

            // Goes red if we ask for anything in a token that SimpleJWT does not write.
            #[tokio::test]
            async fn we_take_the_peers_tokens() {
                super::we_take_the_peers_tokens($algorithm).await;
            }

            // Goes red if the signature is not checked.
            #[tokio::test]
            async fn both_refuse_another_key() {
                super::both_refuse_another_key($algorithm).await;
            }
        }
    )+};
}

for_each_algorithm! {
    hs256: "HS256";
    rs256: "RS256";
    es256: "ES256";
    eddsa: "EdDSA";
}

// Goes red if the library drops one of the algorithms: then the tests above no longer say what they seem to.
#[test]
fn the_peer_signs_and_verifies_by_every_algorithm_of_ours() {
    for algorithm in ["HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"] {
        let mut peer = peer(algorithm, &keys(algorithm));
        peer.create_user(7, "froggly", PASSWORD);
        let (refresh, access) = peer.mint(7);
        assert_eq!(peer.verify(&refresh, TokenClass::Refresh).unwrap()["user_id"], "7", "{algorithm}");
        assert_eq!(peer.verify(&access, TokenClass::Access).unwrap()["token_type"], "access", "{algorithm}");
    }
}
