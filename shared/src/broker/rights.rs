//! What each user may do in RabbitMQ, as data: three patterns over the names of exchanges and queues.
//!
//! The topology is declared beforehand, by an administrator. So no program may configure, and that is also delete, what all
//! rely on; RabbitMQ has no right to declare apart from that to delete. A program that relays publishes whatever the
//! outbox holds, so those who relay share the right to publish on all four exchanges of the outbox.

use super::topology::{AUDIT_QUEUE, DEAD_LETTERS, REPORTS_QUEUE, RUNS_QUEUE};
use crate::contracts::Exchange;
use crate::role::Role;

/// The queues of the API's replicas, each with its reader's name before the first dot; gone with their connections.
pub const REPLICA_QUEUES: [&str; 2] = ["realtime", "revocations"];

/// The default exchange, as permissions call it: through it a message goes to one queue alone.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// The rights of one user in one virtual host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// What it may see of the management UI; nothing if empty.
    pub tags: &'static str,
    /// What it may declare and delete.
    pub configure: String,
    /// Where it may publish, and which queues it may bind.
    pub write: String,
    /// Which queues it may consume, and to which exchanges it may bind queues.
    pub read: String,
}

impl Rights {
    /// The rights of `role`.
    pub fn of(role: Role) -> Self {
        let replicas = replica_queues();
        let outbox = Exchange::ALL.map(|exchange| literally(exchange.name()));
        match role {
            Role::ProducerApi => Self {
                tags: "",
                configure: any([&replicas]),
                write: any(outbox.iter().chain([&replicas])),
                read: any([
                    &literally(Exchange::AuthEvents.name()),
                    &literally(Exchange::TaskEvents.name()),
                    &replicas,
                ]),
            },
            Role::AuditConsumer => Self {
                tags: "",
                configure: nothing(),
                write: nothing(),
                read: any([&literally(AUDIT_QUEUE)]),
            },
            // The queues of jobs all begin with the same name: `job.runs.mail`. It answers workers of other programs in queues of
            // theirs, and that is by the default exchange alone.
            Role::Scheduler => Self {
                tags: "",
                configure: nothing(),
                write: any(outbox.iter().chain([&literally(DEFAULT_EXCHANGE)])),
                read: any([&format!(r"{}(\..+)?", literally(RUNS_QUEUE)), &literally(REPORTS_QUEUE)]),
            },
            // Looks at every node, queue and connection; takes dead letters and puts them back where they came from.
            Role::Operator => Self {
                tags: "monitoring",
                configure: nothing(),
                write: any([&literally(DEFAULT_EXCHANGE)]),
                read: any([&literally(DEAD_LETTERS)]),
            },
        }
    }
}

fn replica_queues() -> String {
    format!(r"({})\..+", REPLICA_QUEUES.join("|"))
}

fn literally(name: &str) -> String {
    name.replace('.', r"\.")
}

/// RabbitMQ looks for a pattern anywhere in a name.
fn any<'a>(patterns: impl IntoIterator<Item = &'a String>) -> String {
    let patterns: Vec<&str> = patterns.into_iter().map(String::as_str).collect();
    format!("^({})$", patterns.join("|"))
}

fn nothing() -> String {
    "^$".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_exactly_these_rights() {
        let table = Role::ALL.map(|role| {
            let Rights { tags, configure, write, read } = Rights::of(role);
            (tags, configure, write, read)
        });
        let expected = [
            (
                "",
                r"^((realtime|revocations)\..+)$",
                r"^(auth\.events|task\.events|job\.events|job\.ticks|(realtime|revocations)\..+)$",
                r"^(auth\.events|task\.events|(realtime|revocations)\..+)$",
            ),
            ("", "^$", "^$", r"^(audit\.events)$"),
            (
                "",
                "^$",
                r"^(auth\.events|task\.events|job\.events|job\.ticks|amq\.default)$",
                r"^(job\.runs(\..+)?|job\.reports)$",
            ),
            ("monitoring", "^$", r"^(amq\.default)$", r"^(dead\.letters)$"),
        ];
        let expected = expected.map(|(tags, configure, write, read)| {
            (tags, configure.to_owned(), write.to_owned(), read.to_owned())
        });
        assert_eq!(table, expected);
    }
}
