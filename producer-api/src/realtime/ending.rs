//! Why a stream ends, and the close code that its client gets.

use axum::extract::ws::{CloseFrame, close_code};

use crate::problem::{Kind, Problem};

/// The token ran out or is not valid: fetch a new one and come again.
const TOKEN_OVER: u16 = 4401;
/// The session is over: log in again.
const SESSION_OVER: u16 = 4403;

/// Why a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client went.
    ClientLeft,
    /// The connection broke, or what came over it is no frame, or too long a one.
    Broken,
    /// The client takes nothing; nothing can be told to it either.
    ClientStuck,
    /// Nothing came from the client for too long, not even an answer to a ping.
    ClientSilent,
    /// This replica stops.
    Stopping,
    /// The client's fault: not to be tried again as it was.
    Refused(&'static str),
    /// Too many streams of this user on this replica.
    TooMany,
    /// The database can't be asked whether the stream may go on, or for its tasks.
    Unavailable,
    /// The token ran out, or is not valid.
    TokenOver,
    /// The session, or its user, came to an end.
    SessionOver,
}

impl End {
    /// What a token's refusal means for a stream that has not begun.
    pub(super) fn of_refused_token(problem: &Problem) -> Self {
        match problem.kind() {
            kind if kind.status().is_server_error() => Self::Unavailable,
            Kind::UserNotFound | Kind::UserInactive | Kind::PasswordChanged => Self::SessionOver,
            _ => Self::TokenOver,
        }
    }

    /// What it means that a token which was let in is refused by now.
    pub(super) fn of_former_token(problem: &Problem) -> Self {
        if problem.status().is_server_error() { Self::Unavailable } else { Self::SessionOver }
    }

    /// The last frame, if the client can be told anything.
    pub(super) fn farewell(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::ClientLeft | Self::ClientStuck => return None,
            Self::Broken => (close_code::POLICY, "the frame is too long, or no frame"),
            Self::ClientSilent => (close_code::AGAIN, "nothing came from you for too long; connect again"),
            Self::Stopping => (close_code::AWAY, "this server stops; connect again"),
            Self::Refused(reason) => (close_code::POLICY, reason),
            Self::TooMany => (close_code::AGAIN, "too many connections of this user; close some"),
            Self::Unavailable => (close_code::AGAIN, "temporarily unavailable; try again later"),
            Self::TokenOver => (TOKEN_OVER, "the token ran out or is not valid; fetch a new one"),
            Self::SessionOver => (SESSION_OVER, "the session is over; log in again"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_fits_into_its_frame() {
        for end in [
            End::Broken,
            End::ClientSilent,
            End::Stopping,
            End::TooMany,
            End::Unavailable,
            End::TokenOver,
            End::SessionOver,
        ] {
            assert!(end.farewell().unwrap().reason.len() <= 123, "{end:?}");
        }
        assert_eq!(End::ClientLeft.farewell(), None);
    }

    #[test]
    fn a_token_that_fails_before_the_stream_asks_for_a_new_one_and_later_the_session_is_over() {
        let refused = Problem::token_not_valid("Token is blacklisted");
        assert_eq!(End::of_refused_token(&refused), End::TokenOver);
        assert_eq!(End::of_former_token(&refused), End::SessionOver);
        assert_eq!(End::of_refused_token(&Problem::user_inactive()), End::SessionOver);
        for problem in [Problem::unavailable(5), Problem::internal()] {
            assert_eq!(End::of_refused_token(&problem), End::Unavailable);
            assert_eq!(End::of_former_token(&problem), End::Unavailable);
        }
    }
}
