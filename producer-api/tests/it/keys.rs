//! `keys rotate`: the file, the event, and what an outage leaves behind.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use producer_api::tokens::keys::{Keys, KeysConfig, RotateError, Rotated, Rotation, rotate};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::Secret;
use shared::contracts::Origin;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;
use sqlx::PgPool;
use tempfile::TempDir;
use test_support::TestDatabase;

/// A folder of keys, a database and a clock of one test.
struct Rotations {
    database: TestDatabase,
    clock: Clock,
    config: KeysConfig,
    _folder: TempDir,
}

impl Rotations {
    async fn new(algorithm: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = KeysConfig {
            algorithm: algorithm.parse().unwrap(),
            signing_key: None,
            previous_signing_key: None,
            verifying_key: None,
            // Rotating makes the folder.
            signing_keys_dir: Some(folder.path().join("keys")),
            jwk_url: None,
            longest_lifetime: Duration::from_hours(24),
        };
        let clock = Clock::manual(DateTime::from_timestamp(1_795_000_000, 0).unwrap());
        Self { database: TestDatabase::create().await, clock, config, _folder: folder }
    }

    fn folder(&self) -> &Path {
        self.config.signing_keys_dir.as_deref().unwrap()
    }

    fn file(&self, kid: &str) -> PathBuf {
        self.folder().join(format!("{kid}.pem"))
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    async fn rotate(&self) -> Rotated {
        self.try_rotate(self.database.pool()).await.unwrap()
    }

    async fn try_rotate(&self, database: &PgPool) -> Result<Rotated, RotateError> {
        let entropy = Entropy::system();
        let outbox = Outbox::new("producer-api", self.clock.clone(), entropy.clone());
        let rotation = Rotation { database, outbox: &outbox, clock: &self.clock, entropy: &entropy };
        rotate(rotation, &self.config, Origin::default(), &TraceContext::new(&entropy)).await
    }

    fn keys(&self) -> Keys {
        Keys::open(&self.config, self.clock.clone()).unwrap()
    }

    async fn events(&self) -> Vec<Value> {
        let bodies: Vec<String> = sqlx::query_scalar("SELECT body FROM outbox ORDER BY seq")
            .fetch_all(self.database.pool())
            .await
            .unwrap();
        bodies.iter().map(|body| serde_json::from_str(body).unwrap()).collect()
    }
}

/// The key ids that a ring shows.
fn shown(keys: &Keys) -> Vec<String> {
    let set = keys.ring().jwks();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_first_key_of_a_new_folder_signs_at_once() {
    for algorithm in ["RS256", "ES384", "EdDSA"] {
        let rotations = Rotations::new(algorithm).await;
        let now = rotations.clock.now();
        let rotated = rotations.rotate().await;
        assert!(rotated.kid.starts_with("20261118T110640Z-") && rotated.kid.len() == 23, "{}", rotated.kid);
        assert_eq!((rotated.signs_from, rotated.previous_verifies_until), (now, None));
        assert_eq!(rotations.names(), [format!("{}.pem", rotated.kid)]);
        let (folder, file) =
            (fs::metadata(rotations.folder()).unwrap(), fs::metadata(rotations.file(&rotated.kid)).unwrap());
        assert_eq!((folder.mode() & 0o777, file.mode() & 0o777), (0o700, 0o600));
        assert_eq!(file.uid(), folder.uid());
        assert_eq!(DateTime::<Utc>::from(file.modified().unwrap()), now);
        let keys = rotations.keys();
        assert_eq!(shown(&keys), [rotated.kid.as_str()]);
        assert!(keys.ring().sign(b"{}").is_ok());
        let [event] = &rotations.events().await[..] else { panic!("one event") };
        assert_eq!(event["type"], "auth.keys.rotated");
        assert_eq!(event["data"]["kid"], rotated.kid);
        assert_eq!(event["data"]["retired"], json!([]));
        assert!(!event.to_string().contains("PRIVATE"));
    }
}

#[tokio::test]
async fn a_running_replica_shows_the_next_key_at_once_and_the_answer_tells_its_timetable() {
    let rotations = Rotations::new("ES256").await;
    let first = rotations.rotate().await.kid;
    let keys = rotations.keys();
    rotations.clock.advance(TimeDelta::days(30));
    let second = rotations.rotate().await;
    let now = rotations.clock.now();
    assert_eq!(second.signs_from, now + TimeDelta::seconds(60));
    assert_eq!(second.previous_verifies_until, Some(now + TimeDelta::seconds(60 + 86_400 + 60)));
    let mut both = vec![first.clone(), second.kid.clone()];
    both.sort();
    keys.newest_ring().await;
    assert_eq!(shown(&keys), both);
    rotations.clock.advance(TimeDelta::seconds(60 + 86_400 + 59));
    assert_eq!(shown(&keys), both);
    rotations.clock.advance(TimeDelta::seconds(1));
    assert_eq!(shown(&keys), [second.kid]);
}

#[tokio::test]
async fn the_file_of_a_key_goes_a_day_after_its_retirement() {
    let rotations = Rotations::new("EdDSA").await;
    let first = rotations.rotate().await.kid;
    rotations.clock.advance(TimeDelta::days(30));
    let second = rotations.rotate().await.kid;
    fs::write(rotations.folder().join("README"), "keys").unwrap();
    // It is retired after 60 s, a day and 60 s; a rotation just before the day after that leaves it.
    rotations.clock.advance(TimeDelta::seconds(60 + 86_400 + 60 + 86_400 - 1));
    let third = rotations.rotate().await;
    assert_eq!(third.retired, Vec::<String>::new());
    rotations.clock.advance(TimeDelta::seconds(1));
    let fourth = rotations.rotate().await;
    assert_eq!(fourth.retired, [first]);
    let mut expected = [second, third.kid, fourth.kid.clone()].map(|kid| format!("{kid}.pem")).to_vec();
    expected.push("README".to_owned());
    expected.sort();
    assert_eq!(rotations.names(), expected);
    let events = rotations.events().await;
    assert_eq!(events.last().unwrap()["data"]["retired"], json!(fourth.retired));
}

#[tokio::test]
async fn beside_a_signing_key_the_first_key_of_the_folder_waits_its_minute() {
    let mut rotations = Rotations::new("ES256").await;
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tokens/keys/test_keys/p256_sec1.pem");
    rotations.config.signing_key = Some(Secret::new(fs::read_to_string(path).unwrap()));
    let rotated = rotations.rotate().await;
    assert_eq!(rotated.signs_from, rotations.clock.now() + TimeDelta::seconds(60));
    assert!(rotated.previous_verifies_until.is_some());
    rotations.clock.advance(TimeDelta::days(9));
    assert_eq!(rotations.rotate().await.retired, Vec::<String>::new(), "the signing key has no file");
}

/// Runs `producer-api keys rotate` with these settings: its exit code, standard output and standard error.
async fn command(settings: Vec<(&'static str, String)>) -> (Option<i32>, String, String) {
    let run = move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_producer-api"));
        command.args(["keys", "rotate"]).env_clear().envs(settings).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_makes_a_key_and_tells_its_timetable() {
    let mut rotations = Rotations::new("ES256").await;
    rotations.clock = Clock::system();
    let folder = rotations.folder().to_str().unwrap().to_owned();
    let settings = |algorithm: &str| {
        let address = rotations.database.url().to_owned();
        vec![
            ("DATABASE_URL", address),
            ("ALGORITHM", algorithm.to_owned()),
            ("SIGNING_KEYS_DIR", folder.clone()),
            ("SIGNING_KEY", String::new()),
        ]
    };
    let (code, first, _) = command(settings("ES256")).await;
    assert_eq!(code, Some(0));
    assert!(first.starts_with("made key ") && first.contains("it signs from "), "{first}");
    let (code, second, _) = command(settings("ES256")).await;
    assert_eq!(code, Some(0));
    assert!(second.contains("the key before it verifies until "), "{second}");
    assert_eq!(shown(&rotations.keys()).len(), 2);
    assert_eq!(rotations.events().await.len(), 2);
    let (code, output, error) = command(settings("ES512")).await;
    assert_eq!((code, output.as_str()), (Some(2), ""));
    assert!(error.contains("ES512 is not offered"), "{error}");
    // Another algorithm than that of the keys which are there.
    let (code, _, error) = command(settings("EdDSA")).await;
    assert_eq!(code, Some(1));
    assert!(
        error.contains("EdDSA takes an Ed25519 key, and this is an EC key on the curve P-256"),
        "{error}"
    );
    assert_eq!(rotations.names().len(), 2);
    let mut of_secrets = settings("HS256");
    of_secrets[3].1 = "a secret for tests of at least 32 bytes".to_owned();
    let (code, _, error) = command(of_secrets).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("SIGNING_KEY_PREVIOUS"), "{error}");
}

#[tokio::test]
async fn without_its_event_there_is_no_key() {
    let rotations = Rotations::new("EdDSA").await;
    let closed = rotations.database.pool().clone();
    let first = rotations.rotate().await.kid;
    closed.close().await;
    let error = rotations.try_rotate(&closed).await.unwrap_err();
    assert!(matches!(error, RotateError::Database(_)), "{error:?}");
    assert_eq!(rotations.names(), [format!("{first}.pem")]);
}

#[tokio::test]
async fn a_commit_that_fails_takes_the_key_back() {
    let rotations = Rotations::new("EdDSA").await;
    // A check that is made at the commit, after the key has appeared.
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON outbox DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW EXECUTE FUNCTION refuse();",
    )
    .execute(rotations.database.pool())
    .await
    .unwrap();
    let error = rotations.try_rotate(rotations.database.pool()).await.unwrap_err();
    assert!(matches!(error, RotateError::Database(_)), "{error:?}");
    assert_eq!(rotations.names(), Vec::<String>::new());
    assert_eq!(rotations.events().await.len(), 0);
}

#[tokio::test]
async fn what_can_not_be_rotated_is_said_with_what_to_do() {
    let mut rotations = Rotations::new("ES256").await;
    fs::create_dir(rotations.folder()).unwrap();
    fs::write(rotations.file("broken"), "nothing").unwrap();
    let message = rotations.try_rotate(rotations.database.pool()).await.unwrap_err().to_string();
    assert!(message.contains("broken.pem"), "{message}");
    assert_eq!(rotations.names(), ["broken.pem"]);
    let folder = rotations.folder().join("file");
    File::create(&folder).unwrap();
    rotations.config.signing_keys_dir = Some(folder);
    let message = rotations.try_rotate(rotations.database.pool()).await.unwrap_err().to_string();
    assert!(message.contains("can't"), "{message}");
    rotations.config.signing_keys_dir = None;
    let message = rotations.try_rotate(rotations.database.pool()).await.unwrap_err().to_string();
    assert!(message.contains("SIGNING_KEYS_DIR is not set"), "{message}");
    rotations.config.algorithm = "HS512".parse().unwrap();
    let message = rotations.try_rotate(rotations.database.pool()).await.unwrap_err().to_string();
    assert!(message.contains("SIGNING_KEY_PREVIOUS"), "{message}");
    assert_eq!(rotations.events().await.len(), 0);
}
