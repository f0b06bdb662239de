//! Tells an outage, after which a client should try again, from a fault of ours.

use sqlx::Error;

/// Whether `error` means that the database can't be reached or is going down, not that the query was wrong.
pub fn is_unavailable(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => true,
        Error::Database(database) => database.code().is_some_and(|code| is_outage(&code)),
        _ => false,
    }
}

/// Classes of SQLSTATE that tell of the server, not of the statement: connection exceptions (08), too many
/// connections and full disks (53), shutdown, crash and start-up (57P0x), and a server turned read-only (25006).
fn is_outage(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("53") || code.starts_with("57P0") || code == "25006"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_from_a_fault_of_the_query() {
        assert!(is_unavailable(&Error::PoolTimedOut));
        assert!(is_unavailable(&Error::Io(std::io::Error::other("reset"))));
        assert!(!is_unavailable(&Error::RowNotFound));
        for (code, outage) in
            [("57P01", true), ("57P03", true), ("53300", true), ("08006", true), ("23505", false)]
        {
            assert_eq!(is_outage(code), outage, "{code}");
        }
    }
}
