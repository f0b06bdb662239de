//! Tells an outage, after which a client should try again, from a fault of ours.

use sqlx::Error;

/// Whether `error` means that the database can't do its work now, not that the query was wrong.
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        Error::Database(database) => database.code().is_some_and(|code| is_outage(&code)),
        Error::Protocol(words) => BEFORE_THE_FIRST_ANSWER.iter().any(|said| words.contains(said)),
        _ => false,
    }
}

/// sqlx (0.9.0) takes a connection that ends before PostgreSQL has answered for an answer of zero; a server that can't serve
/// one more begins its error with an E. Any other byte is no PostgreSQL's.
const BEFORE_THE_FIRST_ANSWER: [&str; 2] =
    ["response from SSLRequest: 0x00", "response from SSLRequest: 0x45"];

/// Whether somebody else held a lock for longer than `lock_timeout`.
pub fn is_locked(error: &Error) -> bool {
    matches!(error, Error::Database(database) if database.code().is_some_and(|code| code == LOCK_NOT_AVAILABLE))
}

const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Classes of SQLSTATE that tell of the server, not of the statement: connection exceptions (08), too many
/// connections and full disks (53), shutdown, crash, start-up and time limits (57), deadlocks and serialisation failures
/// (40), a lock that was not to be had in time (55P03), a server turned read-only (25006), and a transaction that the
/// server gave up (25P03).
fn is_outage(code: &str) -> bool {
    let classes = ["08", "40", "53", "57"];
    classes.iter().any(|class| code.starts_with(class))
        || ["25006", "25P03", LOCK_NOT_AVAILABLE].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_from_a_fault_of_the_query() {
        assert!(is_unavailable(&Error::PoolTimedOut));
        assert!(is_unavailable(&Error::Io(std::io::Error::other("reset"))));
        let ended = "unexpected response from SSLRequest: 0x00 (sqlx_postgres::connection::tls:95)";
        assert!(is_unavailable(&Error::Protocol(ended.to_owned())));
        assert!(!is_unavailable(&Error::Protocol("unexpected response from SSLRequest: 0x4a".to_owned())));
        assert!(!is_unavailable(&Error::Protocol("too many parameter format codes (70000)".to_owned())));
        assert!(!is_unavailable(&Error::RowNotFound));
        for code in ["57P01", "57P03", "57014", "53300", "08006", "40P01", "40001", "55P03", "25P03"] {
            assert!(is_outage(code), "{code}");
        }
        for code in ["23505", "42P01", "22021", "55000"] {
            assert!(!is_outage(code), "{code}");
        }
    }
}
