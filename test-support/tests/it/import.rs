//! `producer-api users import` as an operator runs it.

use std::io::Write;

use shared::role::Role;
use tempfile::NamedTempFile;
use test_support::TestDatabase;
use test_support::programs::{Ended, Program};

const HASH: &str = "pbkdf2_sha256$1000$saltsaltsaltsalt$Cf9xjlisAEzRbMZsosxST/5+wkpfUV6uoqiZkYtP6iQ=";

async fn import(database: &TestDatabase, arguments: &[&str]) -> Ended {
    let program = Program::named("producer-api")
        .env("DATABASE_URL", &database.url_as(Role::ProducerApi))
        .arg("users")
        .arg("import");
    arguments.iter().fold(program, |program, argument| program.arg(argument)).run().await
}

// Red if: the exit code does not depend on refused rows, or a hash gets into the output.
#[tokio::test]
async fn an_import_prints_what_it_did_and_its_exit_code_says_whether_any_row_was_refused() {
    let database = TestDatabase::create().await;
    let mut file = NamedTempFile::new().unwrap();
    write!(file, "id,username,password\n7,froggly,{HASH}\n8,toad,{HASH}\n").unwrap();
    let path = file.path().to_str().unwrap().to_owned();

    let dry = import(&database, &["--from-file", &path, "--dry-run"]).await;
    assert_eq!(
        dry.output, "imported 2, unchanged 0, refused 0\ndry run: nothing was changed\n",
        "{}",
        dry.log
    );
    let first = import(&database, &["--from-file", &path]).await;
    assert_eq!(
        (first.code, &*first.output),
        (Some(0), "imported 2, unchanged 0, refused 0\n"),
        "{}",
        first.log
    );

    writeln!(file, "9,toad,{HASH}").unwrap();
    let second = import(&database, &["--from-file", &path]).await;
    let said =
        "imported 0, unchanged 2, refused 1:\n  row 3 (id 9, \"toad\"): the username is taken under id 8\n";
    assert_eq!((second.code, &*second.output), (Some(1), said), "{}", second.log);
    for ended in [dry, first, second] {
        assert!(!format!("{}{}", ended.output, ended.log).contains("pbkdf2"), "{}", ended.log);
    }
}

// Red if: the variable is not read, or the URL is printed when the server does not answer.
#[tokio::test]
async fn djangos_database_may_be_named_by_the_environment_and_its_password_is_never_printed() {
    let (database, django) = (TestDatabase::create().await, TestDatabase::create_empty().await);
    let users =
        "CREATE TABLE accounts_user (id bigint PRIMARY KEY, username varchar(150), password varchar(128))";
    sqlx::query(users).execute(django.pool()).await.unwrap();
    sqlx::query("INSERT INTO accounts_user VALUES (7, 'froggly', '!')").execute(django.pool()).await.unwrap();
    let from = |url: &str| {
        let program = Program::named("producer-api").env("DATABASE_URL", &database.url_as(Role::ProducerApi));
        program.env("DJANGO_DATABASE_URL", url).arg("users").arg("import").arg("--from-database")
    };
    let missing = from(django.url()).run().await;
    assert_eq!(missing.code, Some(1), "{}", missing.log);
    assert!(
        missing.log.contains("no table `auth_user`") && missing.log.contains("--model"),
        "{}",
        missing.log
    );
    let ended = from(django.url()).arg("--model").arg("accounts.User").run().await;
    assert_eq!(
        (ended.code, &*ended.output),
        (Some(0), "imported 1, unchanged 0, refused 0\n"),
        "{}",
        ended.log
    );

    let wrong = from("postgres://user:hidden@127.0.0.1:1/django").run().await;
    assert_eq!(wrong.code, Some(1), "{}", wrong.log);
    assert!(wrong.log.contains("Django's database can't be read"), "{}", wrong.log);
    assert!(!wrong.log.contains("hidden"), "{}", wrong.log);
}

// Red if: a source is not asked for.
#[tokio::test]
async fn without_a_source_or_its_address_the_command_says_what_is_missing() {
    let database = TestDatabase::create().await;
    for arguments in
        [&[][..], &["--from-file", "x", "--from-database"], &["--from-file", "x", "--model", "user"]]
    {
        let ended = import(&database, arguments).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.log);
    }
    let ended = import(&database, &["--from-database"]).await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    assert!(ended.log.contains("DJANGO_DATABASE_URL"), "{}", ended.log);
    let ended = import(&database, &["--from-file", "/nowhere/users.csv"]).await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("the file can't be read"), "{}", ended.log);
}
