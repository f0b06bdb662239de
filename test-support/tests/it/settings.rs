//! Missing and wrong settings: exit code 2, and one message that lists all of them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use shared::role::Role;
use test_support::programs::{Ended, Program, SIGNING_KEY};
use test_support::{TestBroker, TestDatabase};

const PROGRAMS: [&str; 3] = ["producer-api", "audit-consumer", "scheduler"];

#[track_caller]
fn assert_lists(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    for part in parts {
        assert!(ended.log.contains(part), "{part} in {}", ended.log);
    }
    assert!(!ended.log.contains("panicked"), "{}", ended.log);
    assert_eq!(ended.log.matches("the settings are wrong").count(), 1, "one message: {}", ended.log);
}

#[tokio::test]
async fn without_any_setting_every_program_says_what_it_needs() {
    for name in PROGRAMS {
        let ended = Program::named(name).run().await;
        assert_lists(&ended, &["DATABASE_URL"]);
        if name == "producer-api" {
            assert_lists(&ended, &["SIGNING_KEY", "2 place(s)"]);
        }
    }
}

#[tokio::test]
async fn every_wrong_setting_is_listed_and_no_secret_is_repeated() {
    for name in PROGRAMS {
        let ended = Program::named(name)
            .env("DATABASE_URL", "mysql://user:hidden@localhost")
            .env("AMQP_URL", "http://user:hidden@localhost")
            .env("LISTEN_ADDRESS", "everywhere")
            .env("LOG_FORMAT", "poetry")
            .env("SHUTDOWN_TIMEOUT", "soon")
            .env("DATABASE_POOL_MAX", "none")
            .env("SIGNING_KEY", "hidden")
            .run()
            .await;
        let parts = [
            "DATABASE_URL",
            "AMQP_URL",
            "LISTEN_ADDRESS",
            "LOG_FORMAT",
            "SHUTDOWN_TIMEOUT",
            "DATABASE_POOL_MAX",
        ];
        assert_lists(&ended, &parts);
        assert!(!ended.log.contains("hidden"), "{}", ended.log);
    }
    let short = Program::named("producer-api").env("SIGNING_KEY", "hidden").run().await;
    assert_lists(&short, &["SIGNING_KEY", "6 bytes are too few"]);
}

#[tokio::test]
async fn a_log_filter_that_can_not_be_read_is_a_wrong_setting() {
    for name in PROGRAMS {
        let ended = Program::named(name)
            .env("DATABASE_URL", "postgres://localhost/warren")
            .env("SIGNING_KEY", SIGNING_KEY)
            .env("RUST_LOG", "info,=,")
            .run()
            .await;
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.log);
        assert!(ended.log.contains("RUST_LOG"), "{}", ended.log);
    }
}

#[tokio::test]
async fn what_is_set_on_the_command_line_goes_before_the_environment() {
    for name in PROGRAMS {
        let program = Program::named(name).env("INSTANCE_NAME", "from the environment").arg("config");
        let ended = program.arg("--set").arg("INSTANCE_NAME=from the command line").run().await;
        assert!(ended.output.contains("INSTANCE_NAME=from the command line"), "{name}: {}", ended.output);
    }
}

#[tokio::test]
async fn the_settings_in_force_are_printed_without_secrets() {
    for name in PROGRAMS {
        let program = Program::named(name)
            .env("DATABASE_URL", "postgres://user:hidden@localhost/warren")
            .env("AMQP_URL", "amqp://user:hidden@localhost/warren")
            .env("SIGNING_KEY", SIGNING_KEY);
        let ended = program.arg("config").run().await;
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.log);
        assert!(ended.output.contains("DATABASE_URL=********"), "{name}: {}", ended.output);
        assert!(!ended.output.contains("hidden") && !ended.output.contains(SIGNING_KEY), "{}", ended.output);
    }
}

#[tokio::test]
async fn a_database_without_the_schema_ends_every_program_with_what_to_do() {
    let (database, broker) = (TestDatabase::create_empty().await, TestBroker::create().await);
    for program in [
        Program::producer_api(&database, &broker),
        Program::audit_consumer(&database, &broker),
        Program::scheduler(&database, &broker),
    ] {
        let ended = program.run().await;
        assert_eq!(ended.code, Some(1), "{}", ended.log);
        assert!(ended.log.contains("producer-api database migrate"), "{}", ended.log);
    }
}

/// Goes red when the keys are opened before there is a log and nobody says later what was seen, and when it is said twice.
#[tokio::test]
async fn a_private_key_that_everybody_may_read_is_named_once_at_the_start() {
    let (database, broker) = (TestDatabase::create().await, TestBroker::create().await);
    let folder = tempfile::tempdir().unwrap();
    let api = || {
        Program::named("producer-api")
            .env("DATABASE_URL", &database.url_as(Role::ProducerApi))
            .env("AMQP_URL", broker.amqp_url())
            .env("ALGORITHM", "ES256")
            .env("SIGNING_KEYS_DIR", folder.path().to_str().unwrap())
    };
    let rotated = api().arg("keys").arg("rotate").run().await;
    assert_eq!(rotated.code, Some(0), "{}", rotated.log);
    let key = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    std::fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let mut api = api().start().await;
    assert!(api.terminate().await.success(), "{}", api.log());
    let log = api.log();
    assert_eq!(log.matches("everybody on this machine may read this private key").count(), 1, "{log}");
    assert!(log.contains(key.to_str().unwrap()), "{log}");
}
