//! `/api/jobs/…`: for staff alone. Each deed is told in the trail in the transaction that does it, with its reason.

mod documented;
mod fields;
mod runs;
mod schedules;

pub use documented::operations;
pub use runs::{cancel, list as list_runs, replay, show as show_run};
pub use schedules::{
    backfill, list as list_schedules, override_, pause, reset, resume, run, show as show_schedule,
};

use shared::contracts::auth::AccessDenial;
use shared::control::ControlError;
use shared::schedules::publish_tick::PublishTickError;
use shared::schedules::timetable::TimetableError;

use crate::fault::Fault;
use crate::middleware::{Endpoint, EndpointField, RequestContext};
use crate::problem::{FieldErrors, Problem};
use crate::sessions::{SignedIn, tell_denied};
use crate::state::AppState;

const REASON: &[EndpointField] = &[EndpointField::required("reason", "Reason")];

/// What OPTIONS tells of the list of schedules.
pub const SCHEDULES: Endpoint = Endpoint {
    name: "Schedule List",
    description: "Lists schedules in the order of their keys, for staff; ?limit= and ?cursor= turn the pages.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of a schedule.
pub const SCHEDULE: Endpoint = Endpoint {
    name: "Schedule Instance",
    description: "Shows a schedule to staff, with its next five instants and its newest runs and gaps.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of pausing one.
pub const PAUSE: Endpoint = Endpoint {
    name: "Schedule Pause",
    description: "Pauses a schedule, for staff: none of its instants is run until it is resumed; runs that are there go on.",
    methods: &["POST"],
    fields: REASON,
};

/// What OPTIONS tells of resuming one.
pub const RESUME: Endpoint = Endpoint {
    name: "Schedule Resume",
    description: "Has a paused schedule go on with its next instant, for staff.",
    methods: &["POST"],
    fields: REASON,
};

/// What OPTIONS tells of giving one another timetable.
pub const OVERRIDE: Endpoint = Endpoint {
    name: "Schedule Override",
    description: "Has a schedule due at other times, for staff, whatever builds say, until it is reset.",
    methods: &["POST"],
    fields: &[
        EndpointField::optional("timetable", "Timetable"),
        EndpointField::optional("time_zone", "Time zone"),
        EndpointField::required("reason", "Reason"),
    ],
};

/// What OPTIONS tells of giving one its own timetable again.
pub const RESET: Endpoint = Endpoint {
    name: "Schedule Reset",
    description: "Has a schedule due again as the registry says, for staff.",
    methods: &["POST"],
    fields: REASON,
};

/// What OPTIONS tells of running one now.
pub const RUN_NOW: Endpoint = Endpoint {
    name: "Schedule Run",
    description: "Has a schedule's job run once, now, for staff, though it may be paused.",
    methods: &["POST"],
    fields: REASON,
};

/// What OPTIONS tells of making up for a range.
pub const BACKFILL: Endpoint = Endpoint {
    name: "Schedule Backfill",
    description: "Runs a schedule's job for each instant of a range that has passed and has no run, for staff.",
    methods: &["POST"],
    fields: &[
        EndpointField::required("from", "From").of_type("datetime"),
        EndpointField::required("until", "Until").of_type("datetime"),
        EndpointField::optional("pace_seconds", "Pace seconds").of_type("integer"),
        EndpointField::required("reason", "Reason"),
    ],
};

/// What OPTIONS tells of the list of runs.
pub const RUNS: Endpoint = Endpoint {
    name: "Run List",
    description: "Lists runs, the newest instant first, for staff; ?limit= and ?cursor= turn the pages.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of a run.
pub const RUN: Endpoint = Endpoint {
    name: "Run Instance",
    description: "Shows a run to staff, with its output.",
    methods: &["GET"],
    fields: &[],
};

/// What OPTIONS tells of replaying one.
pub const REPLAY: Endpoint = Endpoint {
    name: "Run Replay",
    description: "Has a failed run tried again, for staff, with as many attempts as it had.",
    methods: &["POST"],
    fields: REASON,
};

/// What OPTIONS tells of canceling one.
pub const CANCEL: Endpoint = Endpoint {
    name: "Run Cancel",
    description: "Ends a run without success, for staff: a waiting one at once, a running one within seconds.",
    methods: &["POST"],
    fields: REASON,
};

/// What was done; or why not, and if that is for want of the right, an event of it: `object` is what was asked for.
async fn told<T>(
    state: &AppState,
    context: &RequestContext,
    who: &SignedIn,
    done: Result<T, ControlError>,
    object: String,
) -> Result<T, Problem> {
    if let Err(ControlError::NotStaff) = done {
        tell_denied(state, context, who, AccessDenial::NotStaff, object).await?;
    }
    done.map_err(problem)
}

/// 403, 404, 409, 400 or a fault.
fn problem(error: ControlError) -> Problem {
    match error {
        ControlError::NotStaff => Problem::permission_denied(),
        ControlError::NoSchedule(_) => Problem::not_found(),
        ControlError::NotNow(words) => Problem::conflict(&words),
        ControlError::Timetable(error) => {
            let field = if matches!(error, TimetableError::Zone(_)) { "time_zone" } else { "timetable" };
            let mut errors = FieldErrors::new();
            errors.add(field, error.to_string());
            Problem::field_errors(errors)
        }
        ControlError::Database(error) | ControlError::Owed(PublishTickError::Write(error)) => {
            Fault::from(error).into()
        }
        ControlError::Untold(error) | ControlError::Owed(PublishTickError::Append(error)) => {
            Fault::from(error).into()
        }
    }
}
