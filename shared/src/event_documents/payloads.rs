//! Which type is the payload of which event: the one list that the documents are made from.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::contracts::auth::{
    AccessDenied, AccountDeleted, AccountDisabled, AccountEnabled, AccountLocked, AccountUnlocked,
    EmailChanged, EmailConflict, EmailVerified, KeysRotated, LoginFailed, LoginSucceeded, MailTokenRefused,
    PasswordChanged, PasswordRehashed, PasswordResetCompleted, PasswordResetRequested,
    ReauthenticationFailed, SessionEnded, TokenBlacklisted, TokenRefreshed, TokenReuseDetected,
    UserRegistered, UserUpdated,
};
use crate::contracts::jobs::{RunFailed, RunSucceeded, TickDue};
use crate::contracts::operators::{
    DeadLetterDiscarded, DeadLetterReplayed, ParkedDiscarded, ParkedReplayed, QuarantineDiscarded,
    QuarantineReplayed,
};
use crate::contracts::schedules::{
    RunCanceled, RunReplayed, RunRequested, ScheduleAdded, ScheduleChanged, SchedulePaused, ScheduleRemoved,
    ScheduleResumed,
};
use crate::contracts::tasks::{TaskCreated, TaskDeleted, TaskUpdated};
use crate::contracts::trail::{TrailExported, TrailPurged, TrailRead};
use crate::contracts::{Event, EventType};

/// An event and the schema of its payload.
pub(super) struct Payload {
    /// Its row in the catalogue.
    pub(super) event: EventType,
    /// Draws the schema of its payload with a generator, whose settings say how.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
    /// The payload's schema on its own.
    pub(super) root: fn(SchemaGenerator) -> Schema,
}

const fn payload<E: Event + JsonSchema>() -> Payload {
    Payload {
        event: E::TYPE,
        schema: |generator| generator.subschema_for::<E>(),
        root: |generator| generator.into_root_schema_for::<E>(),
    }
}

/// Every event, in the catalogue's order.
pub(super) const PAYLOADS: &[Payload] = &[
    payload::<UserRegistered>(),
    payload::<LoginSucceeded>(),
    payload::<LoginFailed>(),
    payload::<ReauthenticationFailed>(),
    payload::<SessionEnded>(),
    payload::<TokenRefreshed>(),
    payload::<TokenBlacklisted>(),
    payload::<TokenReuseDetected>(),
    payload::<PasswordRehashed>(),
    payload::<PasswordChanged>(),
    payload::<AccountDisabled>(),
    payload::<AccountEnabled>(),
    payload::<AccountDeleted>(),
    payload::<AccountLocked>(),
    payload::<AccountUnlocked>(),
    payload::<UserUpdated>(),
    payload::<EmailVerified>(),
    payload::<EmailChanged>(),
    payload::<EmailConflict>(),
    payload::<PasswordResetRequested>(),
    payload::<PasswordResetCompleted>(),
    payload::<MailTokenRefused>(),
    payload::<KeysRotated>(),
    payload::<AccessDenied>(),
    payload::<ParkedReplayed>(),
    payload::<ParkedDiscarded>(),
    payload::<QuarantineReplayed>(),
    payload::<QuarantineDiscarded>(),
    payload::<DeadLetterReplayed>(),
    payload::<DeadLetterDiscarded>(),
    payload::<TrailRead>(),
    payload::<TrailExported>(),
    payload::<TrailPurged>(),
    payload::<ScheduleAdded>(),
    payload::<ScheduleRemoved>(),
    payload::<SchedulePaused>(),
    payload::<ScheduleResumed>(),
    payload::<ScheduleChanged>(),
    payload::<RunRequested>(),
    payload::<RunReplayed>(),
    payload::<RunCanceled>(),
    payload::<TaskCreated>(),
    payload::<TaskUpdated>(),
    payload::<TaskDeleted>(),
    payload::<TickDue>(),
    payload::<RunSucceeded>(),
    payload::<RunFailed>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_of_the_catalogue_has_a_payload_and_none_has_two() {
        let described: Vec<_> = PAYLOADS.iter().map(|payload| payload.event.name).collect();
        let all: Vec<_> = EventType::ALL.iter().map(|event| event.name).collect();
        assert_eq!(described, all);
    }
}
