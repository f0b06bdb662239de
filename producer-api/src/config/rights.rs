//! The logins that the programs and operators are given; read by the commands that make them alone.

use shared::config::{Reader, Secret, Setting};
use shared::role::Role;
use url::Url;

const PRODUCER_API_DB_PASSWORD: Setting = Setting::secret(
    "PRODUCER_API_DB_PASSWORD",
    "Password of the database role `warren_producer_api`; read by `database create-roles` alone, as the three below. \
     Without it the role can't log in.",
);
const AUDIT_CONSUMER_DB_PASSWORD: Setting = Setting::secret(
    "AUDIT_CONSUMER_DB_PASSWORD",
    "Password of the database role `warren_audit_consumer`, likewise.",
);
const SCHEDULER_DB_PASSWORD: Setting =
    Setting::secret("SCHEDULER_DB_PASSWORD", "Password of the database role `warren_scheduler`, likewise.");
const OPERATOR_PASSWORD: Setting =
    Setting::secret("OPERATOR_PASSWORD", "Password of the database role `warren_operator`, likewise.");
const MANAGEMENT_URL: Setting = Setting::secret(
    "MANAGEMENT_URL",
    "RabbitMQ's management API with a login, as `http://user:password@host:15672`; read by `topology check` and `topology apply` \
     alone. To apply takes an administrator.",
);
const PRODUCER_API_AMQP_PASSWORD: Setting = Setting::secret(
    "PRODUCER_API_AMQP_PASSWORD",
    "Password of the RabbitMQ user `warren_producer_api`; read by `topology apply` alone, as the three below. Without it the user is \
     left as it is.",
);
const AUDIT_CONSUMER_AMQP_PASSWORD: Setting = Setting::secret(
    "AUDIT_CONSUMER_AMQP_PASSWORD",
    "Password of the RabbitMQ user `warren_audit_consumer`, likewise.",
);
const SCHEDULER_AMQP_PASSWORD: Setting =
    Setting::secret("SCHEDULER_AMQP_PASSWORD", "Password of the RabbitMQ user `warren_scheduler`, likewise.");
const OPERATOR_AMQP_PASSWORD: Setting =
    Setting::secret("OPERATOR_AMQP_PASSWORD", "Password of the RabbitMQ user `warren_operator`, likewise.");

pub(super) const SETTINGS: &[&Setting] = &[
    &PRODUCER_API_DB_PASSWORD,
    &AUDIT_CONSUMER_DB_PASSWORD,
    &SCHEDULER_DB_PASSWORD,
    &OPERATOR_PASSWORD,
    &MANAGEMENT_URL,
    &PRODUCER_API_AMQP_PASSWORD,
    &AUDIT_CONSUMER_AMQP_PASSWORD,
    &SCHEDULER_AMQP_PASSWORD,
    &OPERATOR_AMQP_PASSWORD,
];

/// The passwords of the database's roles, as far as they are given.
pub fn read_database_passwords(reader: &mut Reader) -> Vec<(Role, Secret)> {
    read_passwords(reader, |role| match role {
        Role::ProducerApi => &PRODUCER_API_DB_PASSWORD,
        Role::AuditConsumer => &AUDIT_CONSUMER_DB_PASSWORD,
        Role::Scheduler => &SCHEDULER_DB_PASSWORD,
        Role::Operator => &OPERATOR_PASSWORD,
    })
}

/// The passwords of RabbitMQ's users, as far as they are given.
pub fn read_amqp_passwords(reader: &mut Reader) -> Vec<(Role, Secret)> {
    read_passwords(reader, |role| match role {
        Role::ProducerApi => &PRODUCER_API_AMQP_PASSWORD,
        Role::AuditConsumer => &AUDIT_CONSUMER_AMQP_PASSWORD,
        Role::Scheduler => &SCHEDULER_AMQP_PASSWORD,
        Role::Operator => &OPERATOR_AMQP_PASSWORD,
    })
}

fn read_passwords(reader: &mut Reader, setting: impl Fn(Role) -> &'static Setting) -> Vec<(Role, Secret)> {
    let given = Role::ALL.map(|role| reader.optional_secret(setting(role)).map(|password| (role, password)));
    given.into_iter().flatten().collect()
}

/// Where the management API is, with a login.
pub fn read_management_url(reader: &mut Reader) -> Secret {
    let given = reader.required(&MANAGEMENT_URL);
    let is_good = |url: Url| ["http", "https"].contains(&url.scheme()) && !url.username().is_empty();
    // A missing one was noted already.
    if !given.is_empty() && !Url::parse(&given).is_ok_and(is_good) {
        reader.problem("MANAGEMENT_URL: must be http://user:password@host:port, or https://…");
    }
    Secret::new(given)
}
