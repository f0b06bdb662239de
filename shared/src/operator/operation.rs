//! One call of a command, or one request of staff: who, why, and the ids that everything done by it has in common.

use crate::clock::Clock;
use crate::contracts::Origin;
use crate::contracts::operators::OperatorAct;
use crate::entropy::Entropy;
use crate::ids::RequestId;
use crate::telemetry::TraceContext;

/// What every event of one call of a command tells of it.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Who and why.
    pub act: OperatorAct,
    /// Its trace.
    pub trace: TraceContext,
}

impl Operation {
    /// The call of `command`, such as `producer-api parked replay`, by `actor` for `reason`.
    pub fn new(command: &str, actor: String, reason: String, clock: &Clock, entropy: &Entropy) -> Self {
        let request_id = RequestId(entropy.uuid_v7(clock.now()));
        let origin = Origin::new(None, Some(command), Some(request_id));
        Self { act: OperatorAct { actor, actor_id: None, reason, origin }, trace: TraceContext::new(entropy) }
    }
}
