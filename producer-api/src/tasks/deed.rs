//! Who does something to a task, for its event.

use shared::contracts::tasks::TaskDeed;

use crate::middleware::RequestContext;
use crate::sessions::SignedIn;

/// What a request knows of the event that its statement will write.
pub(super) fn deed(who: &SignedIn, context: &RequestContext) -> TaskDeed {
    TaskDeed {
        user_id: who.user_id,
        username: who.username.clone(),
        session_id: who.session_id,
        origin: context.origin(),
    }
}
