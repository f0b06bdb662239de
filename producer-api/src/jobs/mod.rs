//! Schedules and runs as staff sees them and acts upon them. What an act means is in [`shared::control`], which the scheduler's
//! commands use, too; here it is asked for over HTTP, and told as the deed of an account.

mod asked;
pub mod http;

pub use asked::{RunPlace, RunsAsked, SchedulesAsked};

use shared::contracts::operators::OperatorAct;
use shared::operator::Operation;

use crate::middleware::RequestContext;
use crate::sessions::SignedIn;

/// What `who` does by this request, and why.
fn operation(context: &RequestContext, who: &SignedIn, reason: String) -> Operation {
    let act = OperatorAct {
        actor: who.username.clone(),
        actor_id: Some(who.user_id),
        reason,
        origin: context.origin(),
    };
    Operation { act, trace: context.trace }
}
