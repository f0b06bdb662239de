//! What lets a stream go on: an access token that has not run out, of a session that goes on.

use std::pin::pin;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::ending::End;
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::sessions::{Admitted, SignedIn, sign_in};
use crate::state::AppState;

/// How long the database may take to say whether a session goes on; after that the stream ends.
const ANSWER_MAX: Duration = Duration::from_secs(1);
/// How long a stream waits for its turn to ask before it doubts that the database answers at all. It tells nothing meanwhile.
const TURN_MAX: Duration = Duration::from_secs(2);
/// How often it is asked what is not remembered, and so each look is a query.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The token that a stream stands on. It is not kept, only what it said.
#[derive(Debug)]
pub(super) struct Pass {
    state: AppState,
    admitted: Admitted,
    /// How often it is looked at, beside each time before something is sent.
    look_every: Duration,
    looked_at: Instant,
}

impl Pass {
    /// Lets a token in exactly as a protected route does.
    pub(super) async fn open(
        state: &AppState,
        context: &RequestContext,
        token: &str,
        look_every: Duration,
    ) -> Result<Self, Problem> {
        let admitted = sign_in(state, context, token).await?;
        Ok(Self { state: state.clone(), admitted, look_every, looked_at: Instant::now() })
    }

    /// Who came in.
    pub(super) fn who(&self) -> &SignedIn {
        &self.admitted.signed_in
    }

    /// When the token runs out, as it says itself.
    pub(super) fn expires_at(&self) -> String {
        let expires_at = DateTime::from_timestamp(self.admitted.claims.expires_at(), 0);
        expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC).to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// Goes on with a newer token, which must be of the same user and session.
    pub(super) fn prolong(&mut self, newer: Self) -> Result<(), End> {
        let (ours, theirs) = (self.who(), newer.who());
        if (ours.user_id, ours.session_id) != (theirs.user_id, theirs.session_id) {
            return Err(End::Refused("this token is of another user or session; open a connection for it"));
        }
        if newer.admitted.claims.expires_at() > self.admitted.claims.expires_at() {
            *self = newer;
        }
        Ok(())
    }

    /// Whether the stream may go on now. Costs no query while the session is remembered; for what is not, the database is
    /// asked every few seconds.
    pub(super) async fn check(&mut self) -> Result<(), End> {
        if self.left().is_zero() {
            return Err(End::TokenOver);
        }
        let is_recent = self.looked_at.elapsed() < ASK_EVERY;
        if is_recent && !self.state.sessions.tokens_carry_session() {
            return Ok(());
        }
        let asks_blacklist = self.admitted.asks_blacklist(&self.state);
        let spares_blacklist = is_recent && asks_blacklist;
        let looked_at = Instant::now();
        let turn = self.turn(asks_blacklist && !spares_blacklist).await?;
        let look = match timeout(ANSWER_MAX.min(self.left()), self.look(spares_blacklist)).await {
            Ok(look) => look.map_err(|problem| End::of_former_token(&problem)),
            Err(_) => Err(End::Unavailable),
        };
        if turn.is_some() && look != Err(End::Unavailable) {
            self.state.live.answered();
        }
        drop(turn);
        match look {
            // The turn may have been long in coming, and the answer.
            Ok(()) | Err(End::Unavailable) if self.left().is_zero() => Err(End::TokenOver),
            Ok(()) if !spares_blacklist => {
                self.looked_at = looked_at;
                Ok(())
            }
            look => look,
        }
    }

    async fn look(&self, spares_blacklist: bool) -> Result<(), Problem> {
        if spares_blacklist {
            self.admitted.is_still_in_good_standing(&self.state).await
        } else {
            self.admitted.is_still_good(&self.state).await
        }
    }

    /// Waits until the stream may not go on any more.
    pub(super) async fn over(&mut self) -> End {
        loop {
            sleep(self.look_every.min(self.left())).await;
            if let Err(end) = self.check().await {
                return end;
            }
        }
    }

    /// Does some work, unless the stream may not go on before it is done.
    pub(super) async fn unless_over<T>(
        &mut self,
        work: impl Future<Output = Result<T, End>>,
    ) -> Result<T, End> {
        tokio::select! {
            end = self.over() => Err(end),
            done = work => done,
        }
    }

    /// Whether the session's standing is known without a query.
    fn knows(&self) -> bool {
        let SignedIn { user_id, session_id, .. } = self.who();
        self.state.standings.knows(*user_id, *session_id)
    }

    /// Whether this replica knows that the session is over, even while it may believe nothing else.
    fn has_ended(&self) -> bool {
        self.who().session_id.is_some_and(|session| self.state.standings.has_ended(session))
    }

    /// Waits for the turn to ask, since all streams have to at once when nothing remembered may be believed. None for what
    /// costs no query. What is known to be over ends meanwhile.
    async fn turn(&self, asks_blacklist: bool) -> Result<Option<SemaphorePermit<'_>>, End> {
        let live = &self.state.live;
        let began = Instant::now();
        let mut turn = pin!(live.asker());
        loop {
            if self.left().is_zero() {
                return Err(End::TokenOver);
            }
            if self.has_ended() {
                return Err(End::SessionOver);
            }
            if self.knows() {
                if !asks_blacklist {
                    return Ok(None);
                }
                Box::pin(self.look(true)).await.map_err(|problem| End::of_former_token(&problem))?;
            }
            match timeout(self.look_every.min(self.left()), turn.as_mut()).await {
                Ok(turn) => return Ok(turn),
                Err(_) if began.elapsed() < TURN_MAX => {}
                // The database answers; it is the number of streams that makes this one wait.
                Err(_) if live.was_answered_within(TURN_MAX) || self.state.standings.is_fresh() => {}
                Err(_) => return Err(End::Unavailable),
            }
        }
    }

    /// How long the token is good for, leeway included.
    fn left(&self) -> Duration {
        self.state.tokens.left(self.admitted.claims.expires_at(), self.state.clock.now())
    }
}
