//! Into which queues answers go. Pure.
//!
//! They go there with our right to publish, not with the asker's: so that nobody has us write where he may not himself, it is
//! the pseudo-queue of his own connection, or a queue whose name begins with the queue that he asks about.

use shared::broker::rights::REPLICA_QUEUES;
use shared::broker::topology::QUEUES;

/// RabbitMQ's direct reply-to: the broker makes the rest of the name, which nobody guesses.
const DIRECT: &str = "amq.rabbitmq.reply-to.";

/// Whether the answer to whoever published under `key` may go to `reply_to`.
pub(super) fn is_allowed(reply_to: &str, key: &str) -> bool {
    if reply_to.starts_with(DIRECT) {
        return true;
    }
    let queue = key.rsplit_once('.').map_or("", |(queue, _)| queue);
    let begins_with = |name: &str| {
        !name.is_empty() && reply_to.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    let is_warrens =
        QUEUES.iter().any(|ours| ours.name == reply_to) || REPLICA_QUEUES.into_iter().any(begins_with);
    begins_with(queue) && !is_warrens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_to_the_askers_connection_or_to_a_queue_of_his_own() {
        for (reply_to, key, allowed) in [
            ("amq.rabbitmq.reply-to.g1hk.x==", "sales.claim", true),
            ("amq.rabbitmq.reply-to.g1hk.x==", "nonsense", true),
            ("sales.answers", "sales.claim", true),
            ("sales", "sales.claim", false),
            ("salesmen.answers", "sales.claim", false),
            ("audit.events", "sales.claim", false),
            ("audit.events", "audit.claim", false),
            ("job.runs", "job.claim", false),
            ("revocations.api.1", "revocations.claim", false),
            ("anything", "nonsense", false),
            (".x", ".claim", false),
        ] {
            assert_eq!(is_allowed(reply_to, key), allowed, "{reply_to} {key}");
        }
    }
}
