//! Who logs in at PostgreSQL and RabbitMQ: each program, and operators. A role has the same name in both.

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The HTTP API.
    ProducerApi,
    /// The audit consumer.
    AuditConsumer,
    /// The scheduler.
    Scheduler,
    /// Looks after all of it: reads the trail, the jobs, the sessions and the tokens; looks at and empties the dead letters.
    Operator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ProducerApi, Self::AuditConsumer, Self::Scheduler, Self::Operator];

    /// Its name, as the migrations have it, too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ProducerApi => "warren_producer_api",
            Self::AuditConsumer => "warren_audit_consumer",
            Self::Scheduler => "warren_scheduler",
            Self::Operator => "warren_operator",
        }
    }
}
