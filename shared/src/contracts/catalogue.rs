//! Every event type of Warren in one table: name, exchange, schema version, outcome.
//!
//! A name is never changed and never used again for something else. `docs/EVENTS.md` tells when each is sent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An exchange that carries what the outbox sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// Facts about accounts, sessions and tokens, and what operators did.
    AuthEvents,
    /// Facts about tasks.
    TaskEvents,
    /// Facts about runs.
    JobEvents,
    /// Commands to run a job: not facts, and not audited.
    JobTicks,
}

impl Exchange {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::AuthEvents, Self::TaskEvents, Self::JobEvents, Self::JobTicks];

    /// Its name on the broker.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AuthEvents => "auth.events",
            Self::TaskEvents => "task.events",
            Self::JobEvents => "job.events",
            Self::JobTicks => "job.ticks",
        }
    }

    /// Whether the trail is to have all that goes there.
    pub const fn is_audited(self) -> bool {
        !matches!(self, Self::JobTicks)
    }
}

/// Whether what an event tells went well for whoever asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused or went wrong.
    Failure,
}

impl Outcome {
    /// As the audit table writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// One row of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType {
    /// The CloudEvents `type`, and for all but ticks the routing key.
    pub name: &'static str,
    /// Where it is published.
    pub exchange: Exchange,
    /// The major version of its payload; a reader that doesn't know it sets the message aside.
    pub major: u16,
    /// What it means for the audit trail.
    pub outcome: Outcome,
}

const fn auth(name: &'static str, outcome: Outcome) -> EventType {
    EventType { name, exchange: Exchange::AuthEvents, major: 1, outcome }
}

/// What an operator did travels with the facts about accounts: whoever watches over one watches over the other.
const fn operator(name: &'static str) -> EventType {
    auth(name, Outcome::Success)
}

const fn task(name: &'static str) -> EventType {
    EventType { name, exchange: Exchange::TaskEvents, major: 1, outcome: Outcome::Success }
}

const fn job(name: &'static str, exchange: Exchange, outcome: Outcome) -> EventType {
    EventType { name, exchange, major: 1, outcome }
}

macro_rules! catalogue {
    ($($(#[$docs:meta])* $constant:ident = $row:expr;)+) => {
        impl EventType {
            $($(#[$docs])* pub const $constant: EventType = $row;)+

            /// The whole catalogue.
            pub const ALL: &[EventType] = &[$(EventType::$constant),+];
        }
    };
}

catalogue! {
    /// An account was made.
    USER_REGISTERED = auth("auth.user.registered", Outcome::Success);
    /// A user proved who he is and has a session.
    LOGIN_SUCCEEDED = auth("auth.login.succeeded", Outcome::Success);
    /// Somebody tried to and did not.
    LOGIN_FAILED = auth("auth.login.failed", Outcome::Failure);
    /// A signed-in user was asked for his password once more, and it was wrong.
    REAUTHENTICATION_FAILED = auth("auth.reauthentication.failed", Outcome::Failure);
    /// A session is over, for whatever reason.
    SESSION_ENDED = auth("auth.session.ended", Outcome::Success);
    /// A refresh token was answered with a new access token.
    TOKEN_REFRESHED = auth("auth.token.refreshed", Outcome::Success);
    /// A refresh token will be refused from now on.
    TOKEN_BLACKLISTED = auth("auth.token.blacklisted", Outcome::Success);
    /// A refresh token was used again after it had been exchanged: a copy is in other hands.
    TOKEN_REUSE_DETECTED = auth("auth.token.reuse_detected", Outcome::Failure);
    /// The same password is kept under another hash.
    PASSWORD_REHASHED = auth("auth.password.rehashed", Outcome::Success);
    /// An account has another password.
    PASSWORD_CHANGED = auth("auth.password.changed", Outcome::Success);
    /// An account was switched off.
    ACCOUNT_DISABLED = auth("auth.account.disabled", Outcome::Success);
    /// An account was switched on again.
    ACCOUNT_ENABLED = auth("auth.account.enabled", Outcome::Success);
    /// An account is gone.
    ACCOUNT_DELETED = auth("auth.account.deleted", Outcome::Success);
    /// So many secrets were wrong that none is looked at for a while.
    ACCOUNT_LOCKED = auth("auth.account.locked", Outcome::Failure);
    /// Wrong secrets were forgotten before their time.
    ACCOUNT_UNLOCKED = auth("auth.account.unlocked", Outcome::Success);
    /// A user changed what he says of himself.
    USER_UPDATED = auth("auth.user.updated", Outcome::Success);
    /// An address was proved.
    EMAIL_VERIFIED = auth("auth.email.verified", Outcome::Success);
    /// An account has another address, which was proved.
    EMAIL_CHANGED = auth("auth.email.changed", Outcome::Success);
    /// A proved address was given for another account.
    EMAIL_CONFLICT = auth("auth.email.conflict", Outcome::Failure);
    /// Somebody asked for a link to choose a new password.
    PASSWORD_RESET_REQUESTED = auth("auth.password_reset.requested", Outcome::Success);
    /// A new password was chosen by a mailed link.
    PASSWORD_RESET_COMPLETED = auth("auth.password_reset.completed", Outcome::Success);
    /// A mailed link was followed that is no good.
    MAIL_TOKEN_REFUSED = auth("auth.mail_token.refused", Outcome::Failure);
    /// A signing key was added.
    KEYS_ROTATED = auth("auth.keys.rotated", Outcome::Success);
    /// Somebody asked for what is not his.
    ACCESS_DENIED = auth("auth.access.denied", Outcome::Failure);
    /// An operator sent a parked event again.
    PARKED_REPLAYED = operator("operator.parked.replayed");
    /// An operator threw a parked event away.
    PARKED_DISCARDED = operator("operator.parked.discarded");
    /// An operator had a message of the quarantine recorded.
    QUARANTINE_REPLAYED = operator("operator.quarantine.replayed");
    /// An operator threw a message of the quarantine away.
    QUARANTINE_DISCARDED = operator("operator.quarantine.discarded");
    /// An operator gave a dead letter to its queue again.
    DEAD_LETTER_REPLAYED = operator("operator.dead_letter.replayed");
    /// An operator threw a dead letter away.
    DEAD_LETTER_DISCARDED = operator("operator.dead_letter.discarded");
    /// A member of staff read a page of the trail.
    TRAIL_READ = operator("operator.trail.read");
    /// An operator exports events of the trail.
    TRAIL_EXPORTED = operator("operator.trail.exported");
    /// A month of the trail was dropped.
    TRAIL_PURGED = operator("operator.trail.purged");
    /// An operator added a schedule.
    SCHEDULE_ADDED = operator("operator.schedule.added");
    /// An operator removed a schedule.
    SCHEDULE_REMOVED = operator("operator.schedule.removed");
    /// An operator paused a schedule.
    SCHEDULE_PAUSED = operator("operator.schedule.paused");
    /// An operator has a schedule go on.
    SCHEDULE_RESUMED = operator("operator.schedule.resumed");
    /// An operator has a schedule due at other times, or at those of the registry again.
    SCHEDULE_CHANGED = operator("operator.schedule.changed");
    /// An operator wanted a run.
    RUN_REQUESTED = operator("operator.run.requested");
    /// An operator has a failed run tried again.
    RUN_REPLAYED = operator("operator.run.replayed");
    /// An operator has a run end.
    RUN_CANCELED = operator("operator.run.canceled");
    /// A task was made.
    TASK_CREATED = task("task.created");
    /// A task has another title.
    TASK_UPDATED = task("task.updated");
    /// A task is gone.
    TASK_DELETED = task("task.deleted");
    /// A run is due: a worker should claim it.
    TICK_DUE = job("job.tick.due", Exchange::JobTicks, Outcome::Success);
    /// A run did what it should.
    RUN_SUCCEEDED = job("job.run.succeeded", Exchange::JobEvents, Outcome::Success);
    /// A run has used up its attempts.
    RUN_FAILED = job("job.run.failed", Exchange::JobEvents, Outcome::Failure);
}

impl EventType {
    /// Looks a type up by its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|row| row.name == name)
    }

    /// The CloudEvents `dataschema`: a reference relative to where the schemas are served.
    pub fn data_schema(&self) -> String {
        format!("/schemas/{}/v{}", self.name, self.major)
    }
}

/// A payload that can be sent: what it is, and whom or what it is about.
pub trait Event: Serialize {
    /// Its row in the catalogue.
    const TYPE: EventType;

    /// The CloudEvents `subject`, such as `users/7`.
    fn subject(&self) -> Option<String>;

    /// Its routing key: the type's name, unless a reader must be able to choose more finely.
    fn routing_key(&self) -> String {
        Self::TYPE.name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_type_has_a_name_of_its_own_that_begins_with_its_exchange_or_with_operator() {
        let names: HashSet<_> = EventType::ALL.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), EventType::ALL.len());
        for row in EventType::ALL {
            let area = row.exchange.name().split('.').next().unwrap();
            let is_operators = row.exchange == Exchange::AuthEvents && row.name.starts_with("operator.");
            let begins_with_area = row.name.starts_with(&format!("{area}."));
            assert!(is_operators || begins_with_area, "{} on {}", row.name, row.exchange.name());
        }
    }
}
