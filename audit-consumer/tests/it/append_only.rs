//! The trail is append-only for everybody but its owner.

use audit_consumer::audit::{Batch, Candidate, Message, Recorded, record};
use audit_consumer::deliveries::classify;
use chrono::TimeDelta;
use serde_json::json;
use shared::clock::Clock;
use shared::entropy::Entropy;
use shared::retention::RETENTION;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};

use crate::trail::{Trail, envelope};

/// SQLSTATE of a missing right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What becomes of a statement, of which nothing stays.
async fn code(transaction: &mut PgConnection, statement: &str) -> Option<String> {
    sqlx::query("SAVEPOINT before").execute(&mut *transaction).await.unwrap();
    let result = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *transaction).await;
    sqlx::query("ROLLBACK TO before").execute(&mut *transaction).await.unwrap();
    result.err().map(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

/// A transaction, never committed, in which there is a role that may read the trail and nothing else, and tomorrow's
/// partition; and the names of all roles that are to be tried.
async fn stage(trail: &Trail) -> (Transaction<'static, Postgres>, Vec<String>) {
    let mut transaction = trail.database.pool().begin().await.unwrap();
    sqlx::raw_sql(
        "CREATE ROLE warren_stranger; GRANT USAGE ON SCHEMA audit TO warren_stranger;
         SELECT audit.make_partitions('2031-01-01', 0);",
    )
    .execute(&mut *transaction)
    .await
    .unwrap();
    let roles = sqlx::query_scalar(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'warren\\_%' AND NOT rolsuper ORDER BY 1",
    )
    .fetch_all(&mut *transaction)
    .await
    .unwrap();
    (transaction, roles)
}

/// The trail, its partitions, and the views through which one might write.
async fn relations(transaction: &mut PgConnection) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class
         WHERE relnamespace = 'audit'::regnamespace AND (relname LIKE 'events%' AND relkind IN ('r', 'p') OR relkind = 'v')",
    )
    .fetch_all(transaction)
    .await
    .unwrap()
}

#[tokio::test]
async fn nobody_but_the_owner_changes_deletes_truncates_or_drops_what_is_recorded() {
    let trail = Trail::new().await;
    trail.tell(0, "task.created", json!({ "user_id": 7 })).await;
    let (mut transaction, roles) = stage(&trail).await;
    assert!(
        roles.contains(&"warren_operator".to_owned()) && roles.contains(&"warren_stranger".to_owned()),
        "{roles:?}"
    );
    let relations = relations(&mut transaction).await;
    for expected in ["audit.events", "audit.events_default", "audit.events_2031_01", "audit.logins"] {
        assert!(relations.iter().any(|relation| relation == expected), "{expected} in {relations:?}");
    }
    for role in &roles {
        sqlx::query(AssertSqlSafe(format!("SET LOCAL ROLE {role}")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        for relation in &relations {
            let is_view = !relation.starts_with("audit.events");
            let kind = if is_view { "VIEW" } else { "TABLE" };
            let mut statements = vec![
                format!("ALTER {kind} {relation} OWNER TO {role}"),
                format!("DROP {kind} {relation} CASCADE"),
            ];
            if !is_view {
                statements.push(format!("UPDATE {relation} SET body = '{{}}'"));
                statements.push(format!("DELETE FROM {relation}"));
                statements.push(format!("TRUNCATE {relation}"));
                statements.push(format!("CREATE RULE mine AS ON INSERT TO {relation} DO INSTEAD NOTHING"));
                statements.push(format!("CREATE TRIGGER mine BEFORE INSERT ON {relation} EXECUTE FUNCTION suppress_redundant_updates_trigger()"));
            }
            for statement in statements {
                let refused = code(&mut transaction, &statement).await;
                assert_eq!(refused.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{role}: {statement}");
            }
        }
        let detach = "ALTER TABLE audit.events DETACH PARTITION audit.events_2031_01";
        assert_eq!(code(&mut transaction, detach).await.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{role}");
    }
}

/// Also by a right that nothing has used yet, such as one to write through a view.
#[tokio::test]
async fn no_role_holds_a_right_to_more_than_reading_and_inserting() {
    let trail = Trail::new().await;
    let (mut transaction, roles) = stage(&trail).await;
    for relation in relations(&mut transaction).await {
        for role in &roles {
            for right in ["UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"] {
                let held: bool = sqlx::query_scalar("SELECT has_table_privilege($1, $2, $3)")
                    .bind(role)
                    .bind(&relation)
                    .bind(right)
                    .fetch_one(&mut *transaction)
                    .await
                    .unwrap();
                assert!(!held, "{role} holds {right} on {relation}");
            }
        }
        let by_everybody: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = $1::regclass AND grantee = 0)",
        )
        .bind(&relation)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
        assert!(!by_everybody, "PUBLIC holds a right on {relation}");
    }
}

/// The functions lend the owner's rights: to those alone who are named, and only as they are written.
#[tokio::test]
async fn what_the_owner_lends_is_lent_to_few_and_can_not_be_bent() {
    let trail = Trail::new().await;
    let (mut transaction, _) = stage(&trail).await;
    let functions: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT oid::regprocedure::text, array_to_string(proconfig, ';') LIKE '%search_path=pg_catalog, pg_temp%',
                EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)
         FROM pg_proc WHERE pronamespace = 'audit'::regnamespace AND prosecdef ORDER BY 1",
    )
    .fetch_all(&mut *transaction)
    .await
    .unwrap();
    let expected =
        ["audit.drop_expired_partition()", "audit.make_partitions(timestamp with time zone,integer)"]
            .map(|name| (name.to_owned(), true, false));
    assert_eq!(functions, expected, "name, fixed search path, for everybody");
    sqlx::query("SET LOCAL ROLE warren_stranger").execute(&mut *transaction).await.unwrap();
    for statement in
        ["SELECT audit.make_partitions('2032-01-01', 0)", "SELECT audit.drop_expired_partition()"]
    {
        assert_eq!(
            code(&mut transaction, statement).await.as_deref(),
            Some(INSUFFICIENT_PRIVILEGE),
            "{statement}"
        );
    }
}

/// A redelivery must meet its row for as long as the consumer would write it. Goes red when a month is dropped whose
/// events the consumer still records: then there are two rows, one after the other.
#[tokio::test]
async fn what_the_consumer_still_records_is_still_there() {
    let trail = Trail::new().await;
    let now = Clock::system().now();
    trail.run(&format!("SELECT audit.make_partitions('{}', 3)", now - RETENTION - TimeDelta::days(70))).await;
    for age in [RETENTION - TimeDelta::minutes(5), RETENTION - TimeDelta::days(20)] {
        let at = now - age;
        let body = envelope(Entropy::system().uuid_v7(at), at, 1, "task.created", &json!({})).to_string();
        trail.record(&body, now).await;
        while !trail.rows("SELECT * FROM audit.drop_expired_partition()").await.is_empty() {}
        let message = Message { message_id: None, body: body.as_bytes(), delivery: None };
        let entry = classify(&message, now).unwrap();
        let again = Batch { candidates: vec![Candidate { entry, message }], set_aside: Vec::new() };
        assert_eq!(record(trail.database.pool(), again).await.unwrap(), Recorded::default(), "{age}");
    }
    let left = trail.rows("SELECT * FROM audit.partitions WHERE dropped_from < now()").await;
    assert_eq!(left, Vec::<serde_json::Value>::new(), "whatever was old enough is gone");
}

/// Goes red when a program is given more than it needs, and when it is given less.
#[tokio::test]
async fn each_program_may_do_with_the_trail_what_it_is_there_for() {
    let trail = Trail::new().await;
    let (mut transaction, _) = stage(&trail).await;
    let insert = "INSERT INTO audit.events (event_id, type, occurred_at, outcome, body) VALUES
        (audit.id_at('2031-01-02'), 't', '2031-01-02', 'success', '{}')";
    let past_the_trail = insert.replace("audit.events", "audit.events_2031_01");
    let (make, drop) =
        ("SELECT audit.make_partitions('2031-01-01', 0)", "SELECT audit.drop_expired_partition()");
    let read = "SELECT * FROM audit.events";
    // Whether it may: record, record past the trail's own table, read, make partitions, drop old ones.
    for (role, rights) in [
        ("warren_audit_consumer", [true, false, true, true, false]),
        ("warren_producer_api", [false, false, true, false, false]),
        ("warren_scheduler", [false, false, false, true, true]),
        ("warren_operator", [false, false, true, false, false]),
        ("warren_stranger", [false, false, false, false, false]),
    ] {
        sqlx::query(AssertSqlSafe(format!("SET LOCAL ROLE {role}")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        for (statement, may) in [insert, &past_the_trail, read, make, drop].into_iter().zip(rights) {
            let refused = code(&mut transaction, statement).await;
            assert_eq!(refused.as_deref(), (!may).then_some(INSUFFICIENT_PRIVILEGE), "{role}: {statement}");
        }
    }
}
