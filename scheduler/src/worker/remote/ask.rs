//! Reads what is asked from a message's key and bytes. Pure.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::contracts::jobs::{DEFAULT_QUEUE, MAIL_QUEUE};
use shared::ids::RunId;
use uuid::Uuid;

/// The largest body that is read: an output is kept up to 64 KiB.
const BODY_MAX: usize = 1024 * 1024;
/// The longest word about what can't be read, in characters.
const WORDS_MAX: usize = 200;
/// The longest name of a worker, in bytes.
const WORKER_MAX: usize = 200;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// For a run to do.
    Claim,
    /// For more time.
    Renew,
    /// To have the outcome recorded.
    Finish,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Claim, Self::Renew, Self::Finish];

    /// The last word of the key.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Renew => "renew",
            Self::Finish => "finish",
        }
    }
}

/// For a run to do: the one that a tick names, or another in its turn.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct ClaimAsk {
    pub(super) run_id: RunId,
    /// The tick's own id: whoever asks again by the same tick is told the same again.
    pub(super) tick_id: Uuid,
    pub(super) worker: String,
    /// What it can do; none: whatever its queue has.
    pub(super) jobs: Option<Vec<String>>,
}

/// For more time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct RenewAsk {
    pub(super) run_id: RunId,
    pub(super) attempt: i32,
    pub(super) worker: String,
    pub(super) traceparent: Option<String>,
}

/// To have the outcome recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct FinishAsk {
    pub(super) run_id: RunId,
    pub(super) attempt: i32,
    pub(super) worker: String,
    pub(super) outcome: Reported,
    pub(super) output: Option<String>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) lasting: bool,
    pub(super) traceparent: Option<String>,
}

/// How the attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reported {
    Succeeded,
    Failed,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Claim(ClaimAsk),
    Renew(RenewAsk),
    Finish(FinishAsk),
}

/// What is asked about a run of which queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) queue: String,
    pub(super) what: What,
}

/// Why a message asks for nothing that can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// What it was about to ask.
    pub(super) kind: Option<Kind>,
    /// What is wrong with it.
    pub(super) reason: String,
}

impl Ask {
    /// Reads a message that was published under `key`.
    pub(super) fn parse(key: &str, body: &[u8]) -> Result<Self, Unreadable> {
        let named = key.rsplit_once('.').filter(|(queue, _)| !queue.is_empty());
        let kind = |word: &str| Kind::ALL.into_iter().find(|kind| kind.name() == word);
        let Some((queue, kind)) = named.and_then(|(queue, word)| Some((queue, kind(word)?))) else {
            let reason = format!("the key {key:?} is none of queue.claim, queue.renew and queue.finish");
            return Err(Unreadable { kind: None, reason });
        };
        let unreadable = |reason: String| Unreadable { kind: Some(kind), reason };
        // No queue has one, and no text of the database can hold a NUL.
        if queue.chars().any(char::is_control) {
            return Err(unreadable(format!("the queue {queue:?} has a control character in it")));
        }
        if is_ours(queue) {
            return Err(unreadable(format!("the queue {queue} has workers of Warren's own")));
        }
        if body.len() > BODY_MAX {
            return Err(unreadable(format!("the body has more than {BODY_MAX} bytes")));
        }
        let what = match kind {
            Kind::Claim => read(body).map(What::Claim),
            Kind::Renew => read(body).map(What::Renew),
            Kind::Finish => read(body).map(What::Finish),
        };
        let what = what.map_err(unreadable)?;
        let worker = what.worker();
        if worker.is_empty() || worker.len() > WORKER_MAX || worker.chars().any(char::is_control) {
            return Err(unreadable(format!("worker must be one line of 1 to {WORKER_MAX} bytes")));
        }
        if let What::Claim(ClaimAsk { jobs: Some(jobs), .. }) = &what
            && jobs.iter().any(|job| job.chars().any(char::is_control))
        {
            return Err(unreadable("a name in jobs has a control character in it".to_owned()));
        }
        Ok(Self { queue: queue.to_owned(), what })
    }

    pub(super) fn kind(&self) -> Kind {
        match self.what {
            What::Claim(_) => Kind::Claim,
            What::Renew(_) => Kind::Renew,
            What::Finish(_) => Kind::Finish,
        }
    }
}

impl What {
    fn worker(&self) -> &str {
        match self {
            Self::Claim(ask) => &ask.worker,
            Self::Renew(ask) => &ask.worker,
            Self::Finish(ask) => &ask.worker,
        }
    }
}

/// Whether our own workers read what goes to `queue`: they are bound by its first word.
fn is_ours(queue: &str) -> bool {
    let first = queue.split('.').next().unwrap_or(queue);
    [DEFAULT_QUEUE, MAIL_QUEUE].contains(&first)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| {
        // It repeats what was sent, which may be anything.
        let words: String = error.to_string().chars().take(WORDS_MAX).collect();
        format!("the body can't be read: {words}")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(key: &str, body: &Value) -> Result<Ask, Unreadable> {
        Ask::parse(key, body.to_string().as_bytes())
    }

    fn claim() -> Value {
        json!({ "run_id": Uuid::from_u128(9), "tick_id": Uuid::from_u128(8), "worker": "sales-1/77", "what we don't know": 1 })
    }

    #[test]
    fn the_key_says_what_is_asked_and_about_runs_of_which_queue() {
        let ask = parse("sales.eu.claim", &claim()).unwrap();
        assert_eq!((ask.queue.as_str(), ask.kind()), ("sales.eu", Kind::Claim));
        let finish = json!({
            "run_id": Uuid::from_u128(9), "worker": "w", "attempt": 2, "outcome": "failed", "error": "no", "lasting": true,
        });
        let What::Finish(ask) = parse("sales.finish", &finish).unwrap().what else { panic!("another ask") };
        assert_eq!((ask.outcome, ask.attempt, ask.lasting, ask.output), (Reported::Failed, 2, true, None));
    }

    #[test]
    fn what_can_be_done_nothing_about_is_refused_in_words() {
        let worker = |name: &str| json!({ "run_id": Uuid::nil(), "tick_id": Uuid::nil(), "worker": name });
        for (key, body, expected) in [
            ("claim", claim(), "none of"),
            (".claim", claim(), "none of"),
            ("sales.cancel", claim(), "none of"),
            ("sa\0les.claim", claim(), "control character"),
            ("default.claim", claim(), "Warren's own"),
            ("mail.eu.renew", claim(), "Warren's own"),
            ("sales.claim", json!([]), "can't be read"),
            ("sales.claim", json!({ "run_id": "7", "worker": "w" }), "can't be read"),
            ("sales.claim", json!({ "run_id": Uuid::nil(), "worker": "w" }), "tick_id"),
            (
                "sales.claim",
                json!({ "run_id": Uuid::nil(), "tick_id": Uuid::nil(), "worker": "w", "jobs": "report" }),
                "can't be read",
            ),
            (
                "sales.claim",
                json!({ "run_id": Uuid::nil(), "tick_id": Uuid::nil(), "worker": "w", "jobs": ["report", "a\0"] }),
                "control character",
            ),
            ("sales.renew", claim(), "attempt"),
            (
                "sales.finish",
                json!({ "run_id": Uuid::nil(), "worker": "w", "attempt": 1, "outcome": "fine" }),
                "fine",
            ),
            ("sales.claim", worker(""), "worker"),
            ("sales.claim", worker("a\0b"), "worker"),
            ("sales.claim", worker(&"w".repeat(201)), "worker"),
        ] {
            let error = parse(key, &body).unwrap_err();
            assert!(error.reason.contains(expected), "{key}: {}", error.reason);
        }
        let long =
            json!({ "run_id": Uuid::nil(), "worker": "w", "attempt": 1, "outcome": "x".repeat(100_000) });
        assert!(parse("sales.finish", &long).unwrap_err().reason.len() < 300);
        let large = Ask::parse("sales.claim", &vec![b' '; BODY_MAX + 1]).unwrap_err();
        assert_eq!((large.kind, large.reason.contains("bytes")), (Some(Kind::Claim), true));
    }
}
