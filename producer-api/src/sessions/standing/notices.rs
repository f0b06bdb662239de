//! Notices from the broker: revocations within milliseconds, where the follower takes up to a second.
//!
//! They are a fast path and nothing rests on them: a notice that is late, lost, doubled or unreadable is made good by
//! the follower.

use serde::Deserialize;
use shared::broker::{ExclusiveQueue, ExclusiveSubscription};
use shared::config::BrokerConfig;
use shared::contracts::{EventType, Exchange, MalformedEnvelope, ReceivedEnvelope};
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};
use shared::lifecycle::{Component, Interruption, supervise};
use shared::telemetry::error_chain;
use tokio_util::sync::CancellationToken;

use super::Standings;

/// The events that end a session or change what a user is judged by.
const PATTERNS: &[&str] = &[
    EventType::SESSION_ENDED.name,
    "auth.account.#",
    "auth.password.#",
    "auth.password_reset.completed",
    "auth.user.updated",
];
/// The newest version of these events that is understood here.
const MAJOR: u16 = 1;

/// What a notice asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    SessionEnded(SessionId),
    UserChanged(UserId),
    /// Nobody we know is concerned.
    Nobody,
}

/// Why a message is no notice.
#[derive(Debug, thiserror::Error)]
enum UnreadableNotice {
    #[error("the message can't be read")]
    Envelope(#[from] MalformedEnvelope),
    #[error("version {0} of this event is not known here")]
    Version(u16),
    #[error("a session ended, and the event does not say which")]
    NoSession,
}

/// What the payloads have in common.
#[derive(Debug, Deserialize)]
struct Concerned {
    user_id: Option<UserId>,
    session_id: Option<SessionId>,
}

/// Listens until `stop`, on a queue of this connection alone.
pub(super) async fn listen(
    standings: &Standings,
    broker: &BrokerConfig,
    instance: &str,
    component: &Component,
    entropy: &Entropy,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let queue = ExclusiveQueue { reader: "revocations", exchange: Exchange::AuthEvents, patterns: PATTERNS };
    supervise(component, stop, entropy, || async {
        let mut subscription = ExclusiveSubscription::open(broker, instance, &queue, entropy).await?;
        component.up();
        tracing::info!(queue = subscription.queue(), "subscribed");
        let end = apply_all(standings, &mut subscription, stop).await;
        // What happens until the next subscription comes by the follower alone.
        standings.forget_live();
        subscription.close().await;
        end
    })
    .await
}

async fn apply_all(
    standings: &Standings,
    subscription: &mut ExclusiveSubscription,
    stop: &CancellationToken,
) -> Result<(), Interruption> {
    while let Some(delivery) = stop.run_until_cancelled(subscription.next()).await {
        match read(&delivery?.data) {
            Ok(Notice::SessionEnded(session)) => standings.session_ended(session),
            Ok(Notice::UserChanged(user)) => standings.user_changed(user),
            Ok(Notice::Nobody) => {}
            Err(error) => tracing::warn!(error = error_chain(&error), "a notice was passed over"),
        }
    }
    Ok(())
}

fn read(body: &[u8]) -> Result<Notice, UnreadableNotice> {
    let envelope = ReceivedEnvelope::parse(body)?;
    let major = envelope.major()?;
    if major > MAJOR {
        return Err(UnreadableNotice::Version(major));
    }
    let concerned: Concerned = envelope.data()?;
    if envelope.r#type == EventType::SESSION_ENDED.name {
        return concerned.session_id.map(Notice::SessionEnded).ok_or(UnreadableNotice::NoSession);
    }
    Ok(concerned.user_id.map_or(Notice::Nobody, Notice::UserChanged))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn message(name: &str, data: &str) -> String {
        format!(
            r#"{{"specversion":"1.0","id":"{}","source":"/warren/test","type":"{name}","time":"2026-11-21T12:00:00Z",
                "dataschema":"/schemas/{name}/v1","data":{data}}}"#,
            Uuid::nil()
        )
    }

    #[test]
    fn a_notice_says_which_session_or_whose_facts() {
        let session = SessionId(Uuid::from_u128(7));
        let ended = message(
            "auth.session.ended",
            &format!(r#"{{"user_id":3,"session_id":"{session}","reason":"x"}}"#),
        );
        assert_eq!(read(ended.as_bytes()).unwrap(), Notice::SessionEnded(session));
        for name in ["auth.account.disabled", "auth.password.changed", "auth.user.updated"] {
            let changed = message(name, &format!(r#"{{"user_id":3,"session_id":"{session}"}}"#));
            assert_eq!(read(changed.as_bytes()).unwrap(), Notice::UserChanged(UserId(3)), "{name}");
        }
        assert_eq!(read(message("auth.account.locked", "{}").as_bytes()).unwrap(), Notice::Nobody);
    }

    #[test]
    fn what_is_no_notice_is_told_as_such() {
        let unversioned = message("auth.session.ended", "{}").replace("/v1", "/v2");
        assert!(matches!(read(unversioned.as_bytes()), Err(UnreadableNotice::Version(2))));
        let nameless = message("auth.session.ended", r#"{"user_id":3}"#);
        assert!(matches!(read(nameless.as_bytes()), Err(UnreadableNotice::NoSession)));
        for body in [&b""[..], b"{", b"\xff", message("auth.session.ended", r#"{"session_id":1}"#).as_bytes()]
        {
            assert!(matches!(read(body), Err(UnreadableNotice::Envelope(_))));
        }
    }

    #[test]
    fn every_event_that_changes_what_a_user_is_judged_by_is_listened_for() {
        let is_bound = |name: &str| {
            PATTERNS.iter().any(|pattern| match pattern.strip_suffix('#') {
                Some(prefix) => name.starts_with(prefix),
                None => name == *pattern,
            })
        };
        for name in
            ["auth.session.ended", "auth.account.disabled", "auth.account.deleted", "auth.password.changed"]
        {
            assert!(is_bound(name), "{name}");
        }
        assert!(!is_bound("auth.token.refreshed"), "of these there are many");
    }
}
