//! The logins that the programs and operators are given; read by the commands that make them alone.

use shared::config::{Reader, Secret, Setting};
use shared::database::Role;

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

pub(super) const SETTINGS: &[&Setting] =
    &[&PRODUCER_API_DB_PASSWORD, &AUDIT_CONSUMER_DB_PASSWORD, &SCHEDULER_DB_PASSWORD, &OPERATOR_PASSWORD];

/// The passwords of the database's roles, as far as they are given.
pub fn read_database_passwords(reader: &mut Reader) -> Vec<(Role, Secret)> {
    let given = Role::ALL.map(|role| {
        let setting = match role {
            Role::ProducerApi => &PRODUCER_API_DB_PASSWORD,
            Role::AuditConsumer => &AUDIT_CONSUMER_DB_PASSWORD,
            Role::Scheduler => &SCHEDULER_DB_PASSWORD,
            Role::Operator => &OPERATOR_PASSWORD,
        };
        reader.optional_secret(setting).map(|password| (role, password))
    });
    given.into_iter().flatten().collect()
}
