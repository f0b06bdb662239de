//! Every exchange, queue and binding of Warren, as data. Every program declares all of it at start, or
//! an administrator has declared it before (`RABBITMQ_TOPOLOGY`).
//!
//! Arguments are part of the declaration, each limit explicit, so that RabbitMQ 3.10, 3.13 and 4.x mean the same by it.

use crate::contracts::Exchange;

/// The queue the audit consumer reads.
pub const AUDIT_QUEUE: &str = "audit.events";
/// The queue the scheduler's workers read.
pub const RUNS_QUEUE: &str = "job.runs";
/// The queue of mails to be sent, which workers with slots of their own read: a mail server that hangs holds no other job.
pub const MAIL_RUNS_QUEUE: &str = "job.runs.mail";
/// Where workers of other programs ask for runs and report what became of them; each ask has a key `queue.ask`.
pub const REPORTS_EXCHANGE: &str = "job.reports";
/// The queue of what they ask, which the scheduler's workers read.
pub const REPORTS_QUEUE: &str = "job.reports";
/// Where the broker puts what no consumer could be given; an alarm, and replayed by an operator.
pub const DEAD_LETTERS: &str = "dead.letters";

/// How many deliveries of one message before the broker gives up on it. A restart of a consumer raises the count of
/// all it had in hand, so this is far above anything that happens by itself.
const DELIVERY_LIMIT: i32 = 1_000;
/// The same of what other programs ask. Its bytes are not ours: what our AMQP client can't decode (a name that is no UTF-8) breaks its
/// connection each time, and holds all others up.
const REPORTS_DELIVERY_LIMIT: i32 = 10;
/// How many messages a work queue holds before publishers are told no; they keep what they have in the outbox.
const LENGTH_MAX: i32 = 10_000_000;

/// How an exchange routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routing {
    /// By patterns over the routing key.
    Topic,
    /// To every bound queue.
    Fanout,
}

impl Routing {
    /// What RabbitMQ calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

/// A durable exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExchangeDeclaration {
    /// Its name.
    pub name: &'static str,
    /// How it routes.
    pub routing: Routing,
}

/// The value of a queue's argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(&'static str),
    /// A whole number.
    Number(i32),
}

/// A durable queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDeclaration {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, which can't be changed once it exists.
    pub arguments: &'static [(&'static str, Argument)],
}

/// A route from an exchange to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// From.
    pub exchange: &'static str,
    /// To.
    pub queue: &'static str,
    /// For which routing keys.
    pub pattern: &'static str,
}

const WORK_QUEUE: &[(&str, Argument)] = &[
    ("x-queue-type", Argument::Text("quorum")),
    ("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)),
    ("x-dead-letter-exchange", Argument::Text(DEAD_LETTERS)),
    // At least once needs a quorum queue that refuses when it is full.
    ("x-dead-letter-strategy", Argument::Text("at-least-once")),
    ("x-overflow", Argument::Text("reject-publish")),
    ("x-max-length", Argument::Number(LENGTH_MAX)),
];

/// Without dead letters: an ask is void after half a minute, its worker asks again, and whoever reads dead letters could decode it no better.
const REPORTS: &[(&str, Argument)] = &[
    ("x-queue-type", Argument::Text("quorum")),
    ("x-delivery-limit", Argument::Number(REPORTS_DELIVERY_LIMIT)),
    ("x-overflow", Argument::Text("reject-publish")),
    ("x-max-length", Argument::Number(LENGTH_MAX)),
];

/// The exchanges, in the order in which they are declared.
pub const EXCHANGES: &[ExchangeDeclaration] = &[
    ExchangeDeclaration { name: Exchange::AuthEvents.name(), routing: Routing::Topic },
    ExchangeDeclaration { name: Exchange::TaskEvents.name(), routing: Routing::Topic },
    ExchangeDeclaration { name: Exchange::JobEvents.name(), routing: Routing::Topic },
    ExchangeDeclaration { name: Exchange::JobTicks.name(), routing: Routing::Topic },
    ExchangeDeclaration { name: REPORTS_EXCHANGE, routing: Routing::Topic },
    ExchangeDeclaration { name: DEAD_LETTERS, routing: Routing::Fanout },
];

/// The queues.
pub const QUEUES: &[QueueDeclaration] = &[
    QueueDeclaration {
        name: DEAD_LETTERS,
        arguments: &[
            ("x-queue-type", Argument::Text("quorum")),
            // Operators look at dead letters again and again; looking must not use them up.
            ("x-delivery-limit", Argument::Number(1_000_000)),
        ],
    },
    QueueDeclaration { name: AUDIT_QUEUE, arguments: WORK_QUEUE },
    QueueDeclaration { name: RUNS_QUEUE, arguments: WORK_QUEUE },
    QueueDeclaration { name: MAIL_RUNS_QUEUE, arguments: WORK_QUEUE },
    QueueDeclaration { name: REPORTS_QUEUE, arguments: REPORTS },
];

/// The bindings.
pub const BINDINGS: &[Binding] = &[
    Binding { exchange: DEAD_LETTERS, queue: DEAD_LETTERS, pattern: "" },
    Binding { exchange: Exchange::AuthEvents.name(), queue: AUDIT_QUEUE, pattern: "#" },
    Binding { exchange: Exchange::TaskEvents.name(), queue: AUDIT_QUEUE, pattern: "#" },
    Binding { exchange: Exchange::JobEvents.name(), queue: AUDIT_QUEUE, pattern: "#" },
    Binding { exchange: Exchange::JobTicks.name(), queue: RUNS_QUEUE, pattern: "default.#" },
    Binding { exchange: Exchange::JobTicks.name(), queue: MAIL_RUNS_QUEUE, pattern: "mail.#" },
    Binding { exchange: REPORTS_EXCHANGE, queue: REPORTS_QUEUE, pattern: "#" },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::jobs::{DEFAULT_QUEUE, MAIL_QUEUE};

    #[test]
    fn every_exchange_that_the_outbox_sends_to_is_declared_and_leads_to_a_queue() {
        for exchange in Exchange::ALL {
            assert!(EXCHANGES.iter().any(|declared| declared.name == exchange.name()));
            assert!(BINDINGS.iter().any(|binding| binding.exchange == exchange.name()));
        }
    }

    #[test]
    fn each_queue_of_jobs_leads_to_a_queue_of_its_own() {
        for (queue, leads_to) in [(DEFAULT_QUEUE, RUNS_QUEUE), (MAIL_QUEUE, MAIL_RUNS_QUEUE)] {
            let pattern = format!("{queue}.#");
            let bound: Vec<_> = BINDINGS.iter().filter(|binding| binding.pattern == pattern).collect();
            assert_eq!(bound.iter().map(|binding| binding.queue).collect::<Vec<_>>(), [leads_to]);
        }
    }

    #[test]
    fn every_binding_joins_what_is_declared() {
        for binding in BINDINGS {
            assert!(EXCHANGES.iter().any(|exchange| exchange.name == binding.exchange));
            assert!(QUEUES.iter().any(|queue| queue.name == binding.queue));
        }
    }
}
