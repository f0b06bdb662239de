//! Rotating keys as clients of two replicas meet it, and tokens forged for keys that come in pairs.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use producer_api::tokens::keys::{Rotated, Rotation, rotate};
use serde_json::{Value, json};
use shared::contracts::Origin;
use shared::telemetry::TraceContext;
use tempfile::TempDir;
use test_support::api::Client;

use crate::harness::{Api, Replica, signed_with};

const JWKS: &str = "/.well-known/jwks.json";

/// Two replicas that sign by ES256 with `SIGNING_KEY`, over one folder that is still empty.
struct Stage {
    api: Api,
    replica: Replica,
    folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = [
            ("ALGORITHM", "ES256"),
            ("SIGNING_KEY", &*openssl("p256_pkcs8.pem")),
            ("SIGNING_KEYS_DIR", folder.path().to_str().unwrap()),
            ("SESSION_POLICY", "unlimited"),
        ];
        let api = Api::start_with(&settings).await;
        let replica = api.replica(&settings).await;
        Self { api, replica, folder }
    }

    fn clients(&self) -> [&Client; 2] {
        [&self.api.client, &self.replica.client]
    }

    async fn rotate(&self) -> Rotated {
        let state = &self.api.state;
        let rotation = Rotation {
            database: &state.database,
            outbox: &state.outbox,
            clock: &state.clock,
            entropy: &state.entropy,
        };
        let trace = TraceContext::new(&state.entropy);
        rotate(rotation, &state.tokens.config().keys, Origin::default(), &trace).await.unwrap()
    }

    /// The key ids that each replica shows.
    async fn shown(&self) -> [Vec<String>; 2] {
        let [one, other] = self.clients();
        [shown_by(one).await, shown_by(other).await]
    }
}

fn openssl(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokens/keys/test_keys/");
    fs::read_to_string(format!("{folder}{file}")).unwrap()
}

async fn shown_by(client: &Client) -> Vec<String> {
    let answer = client.get(JWKS).await.expect(200);
    assert_eq!(answer.header("cache-control"), "public, max-age=30");
    let keys = answer.body["keys"].as_array().unwrap();
    assert!(keys.iter().all(|key| key.get("d").is_none()));
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn kid_of(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

fn invalid() -> Value {
    json!({ "detail": "Token is invalid", "code": "token_not_valid" })
}

#[tokio::test]
async fn a_rotation_refuses_no_token_and_in_the_end_the_old_key_is_gone() {
    let stage = Stage::new().await;
    let [one, other] = stage.clients();
    one.register("froggly").await.expect(201);
    let first = one.log_in("froggly").await;
    let lone = kid_of(&first.access);
    let kid = stage.rotate().await.kid;
    let mut both = vec![lone.clone(), kid.clone()];
    both.sort();
    assert_eq!(stage.shown().await, [both.clone(), both.clone()], "at once, and without a restart");

    stage.api.advance(59);
    let last_of_old = other.log_in("froggly").await;
    assert_eq!(kid_of(&last_of_old.access), lone);
    stage.api.advance(1);
    let of_new = one.log_in("froggly").await;
    assert_eq!(kid_of(&of_new.access), kid);
    for client in stage.clients() {
        for login in [&first, &last_of_old, &of_new] {
            client.tasks(login).await.expect(200);
            let refreshed = client.refresh(&login.refresh).await.expect(200);
            assert_eq!(kid_of(refreshed.text("access")), kid);
        }
    }

    // A day is the longest lifetime. The last refresh token of the old key is good to its last second.
    stage.api.advance(86_400 - 2);
    for client in stage.clients() {
        client.refresh(&last_of_old.refresh).await.expect(200);
    }
    stage.api.advance(1);
    let expired = one.refresh(&last_of_old.refresh).await.expect(401);
    assert_eq!(expired.text("detail"), "Token is expired");
    stage.api.advance(60);
    one.refresh(&last_of_old.refresh).await.expect(401);
    assert_eq!(stage.shown().await, [both.clone(), both]);
    stage.api.advance(1);
    assert_eq!(stage.shown().await, [[kid.as_str()], [kid.as_str()]]);
    for client in stage.clients() {
        assert_eq!(client.refresh(&last_of_old.refresh).await.expect(401).body, invalid());
    }
}

#[tokio::test]
async fn a_replica_that_has_not_looked_yet_learns_of_a_key_from_its_first_token() {
    let stage = Stage::new().await;
    stage.api.client.register("froggly").await.expect(201);
    stage.rotate().await;
    stage.api.client.get(JWKS).await.expect(200);
    stage.api.advance(60);
    let login = stage.api.client.log_in("froggly").await;
    stage.replica.client.tasks(&login).await.expect(200);
}

#[tokio::test]
async fn forged_tokens_are_401_and_touch_nothing() {
    let stage = Stage::new().await;
    let client = &stage.api.client;
    client.register("froggly").await.expect(201);
    let login = client.log_in("froggly").await;
    let kid = kid_of(&login.access);
    let (message, signature) = login.access.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let claims = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    let public = openssl("p256_public.pem");
    let jwk = client.get(JWKS).await.body["keys"][0].to_string();
    let with_header =
        |header: &Value| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let long = "x".repeat(10_000);
    let mut forged = vec![
        signed_with(r#"{"alg":"HS256","typ":"JWT"}"#, &claims, &public),
        signed_with(&json!({ "alg": "HS256", "kid": kid }).to_string(), &claims, &jwk),
        signed_with(&json!({ "alg": "ES256", "kid": kid }).to_string(), &claims, &public),
        with_header(&json!({ "alg": "none" })),
        format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#)),
    ];
    let secret_file = stage.folder.path().join("secret.txt");
    fs::write(&secret_file, openssl("p256_pkcs8.pem")).unwrap();
    for kid in [
        json!("unknown"),
        json!("../../../../dev/null"),
        json!(secret_file.to_str().unwrap()),
        json!("x' UNION SELECT 1; --"),
        json!("a\u{0}b"),
        json!(long),
        json!(7),
        json!(null),
        json!(["a"]),
    ] {
        forged.push(with_header(&json!({ "alg": "ES256", "typ": "JWT", "kid": kid })));
    }
    for token in forged {
        assert_eq!(client.verify(&token).await.expect(401).body, invalid(), "{token:.80}");
        let bearer = client.request(reqwest::Method::GET, "/api/tasks/").bearer_auth(&token);
        test_support::api::send(bearer).await.expect(401);
    }
    client.tasks(&login).await.expect(200);
}
