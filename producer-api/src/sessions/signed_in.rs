//! Who is asking: the layer before every protected route, and the extractor behind it.

use std::fmt;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use shared::ids::{SessionId, UserId};

use super::presented::{is_outlived, mark_fits};
use super::store;
use crate::config::TokensConfig;
use crate::fault::Fault;
use crate::middleware::RequestContext;
use crate::problem::Problem;
use crate::state::AppState;
use crate::tokens::{Claims, TokenFault, TokenKind, UserClaim, is_blacklisted, password_mark};

/// The user behind a request, as the database has him, or had him less than two seconds ago.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// Who.
    pub user_id: UserId,
    /// His name.
    pub username: String,
    /// Whether he is staff.
    pub is_staff: bool,
    /// His session; none for a token minted elsewhere with the shared key.
    pub session_id: Option<SessionId>,
}

/// What the header with the token holds. Shown without the token.
#[derive(PartialEq, Eq)]
pub enum Bearer {
    /// No token: no header, an empty one, or another scheme.
    None,
    /// Our scheme with no word or too many behind it.
    Malformed,
    /// What should be a token. Bytes that are no text can't be one, and are empty here.
    Token(String),
}

impl fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::Malformed => "Malformed",
            Self::Token(_) => "Token(********)",
        })
    }
}

/// Reads the header as SimpleJWT does: bytes, split on runs of ASCII white space. Several headers count as one, joined
/// by commas. The case of the scheme counts.
pub fn bearer(headers: &HeaderMap, config: &TokensConfig) -> Bearer {
    let values: Vec<&[u8]> =
        headers.get_all(&config.auth_header_name).iter().map(HeaderValue::as_bytes).collect();
    let joined = values.join(&b","[..]);
    let words: Vec<&[u8]> = joined
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
        .filter(|word| !word.is_empty())
        .collect();
    let is_scheme = |word: &[u8]| config.auth_header_types.iter().any(|scheme| scheme.as_bytes() == word);
    match words.as_slice() {
        [scheme, token] if is_scheme(scheme) => {
            Bearer::Token(String::from_utf8(token.to_vec()).unwrap_or_default())
        }
        [scheme, ..] if is_scheme(scheme) => Bearer::Malformed,
        _ => Bearer::None,
    }
}

/// Lets a request through if its token, its session and its user are good now, with [`SignedIn`] for the handler.
pub async fn require_sign_in(
    State(state): State<AppState>,
    context: RequestContext,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = match bearer(request.headers(), state.tokens.config()) {
        Bearer::None => return Err(Problem::not_authenticated()),
        Bearer::Malformed => return Err(Problem::bad_authorization_header()),
        Bearer::Token(token) => token,
    };
    let Admitted { signed_in, .. } = sign_in(&state, &context, &token).await?;
    request.extensions_mut().insert(signed_in);
    Ok(next.run(request).await)
}

/// A token that opens protected routes, and who comes in by it.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// What the token says.
    pub claims: Claims,
    /// Who.
    pub signed_in: SignedIn,
}

/// Lets a token in, or says as every protected route does why not.
pub async fn sign_in(state: &AppState, context: &RequestContext, token: &str) -> Result<Admitted, Problem> {
    let claims =
        state.judge(context, token, state.clock.now()).await.map_err(|fault| refused(state, &fault))?;
    require_class(state, &claims).await?;
    let session_id = state.claimed_session(&claims).map_err(|fault| refused(state, &fault))?;
    let user_id = match claims.user() {
        UserClaim::Absent => return Err(Problem::no_user_identification()),
        UserClaim::Null | UserClaim::Unusable => return Err(Problem::user_not_found()),
        UserClaim::Id(user_id) => user_id,
        UserClaim::Name(name) => {
            let mut connection = state.database.acquire().await.map_err(Fault::from)?;
            let user_id = store::id_of(&mut connection, &name).await.map_err(Fault::from)?;
            user_id.ok_or_else(Problem::user_not_found)?
        }
    };
    let signed_in = require_standing(state, &claims, user_id, session_id).await?;
    Ok(Admitted { claims, signed_in })
}

impl Admitted {
    /// Whether the token would be let in again now, its time set aside: for who came in by it and is still here.
    pub async fn is_still_good(&self, state: &AppState) -> Result<(), Problem> {
        let SignedIn { user_id, session_id, .. } = self.signed_in;
        require_class(state, &self.claims).await?;
        require_standing(state, &self.claims, user_id, session_id).await.map(|_| ())
    }

    /// The same but for the blacklist: whether the session goes on, and its user may come in.
    pub async fn is_still_in_good_standing(&self, state: &AppState) -> Result<(), Problem> {
        let SignedIn { user_id, session_id, .. } = self.signed_in;
        require_standing(state, &self.claims, user_id, session_id).await.map(|_| ())
    }

    /// Whether the token is one of those that are looked up on the blacklist each time: it may be a sliding one, and
    /// carries no session.
    pub fn asks_blacklist(&self, state: &AppState) -> bool {
        let classes = &state.tokens.config().auth_token_classes;
        let decides =
            |class: &&TokenKind| **class == TokenKind::Sliding || self.claims.require(**class).is_ok();
        self.signed_in.session_id.is_none() && classes.iter().find(decides) == Some(&TokenKind::Sliding)
    }
}

/// The session goes on, the user is there and may come in, and the token is no older than either.
async fn require_standing(
    state: &AppState,
    claims: &Claims,
    user_id: UserId,
    session_id: Option<SessionId>,
) -> Result<SignedIn, Problem> {
    let config = state.tokens.config();
    let standing = state.standings.of(user_id, session_id).await.map_err(Fault::from)?;
    let user = standing.user.ok_or_else(Problem::user_not_found)?;
    if !standing.session_active {
        return Err(refused(state, &TokenFault::Blacklisted));
    }
    let sessionless = session_id.is_none() && state.sessions.tokens_carry_session();
    // With a mark of the password the mark decides.
    let changed_at = user.password_changed_at.filter(|_| !config.check_revoke_token);
    if sessionless && is_outlived(claims, user.date_joined, changed_at) {
        return Err(refused(state, &TokenFault::Blacklisted));
    }
    if config.check_user_is_active && !user.is_active {
        return Err(Problem::user_inactive());
    }
    let ours = password_mark(user.password_stamp);
    if config.check_revoke_token && !mark_fits(claims, &ours, user.imported_mark.as_deref()) {
        return Err(Problem::password_changed());
    }
    Ok(SignedIn { user_id, username: user.username, is_staff: user.is_staff, session_id })
}

/// The same fault of each class that opens routes.
fn refused(state: &AppState, fault: &TokenFault) -> Problem {
    let text = fault.to_string();
    Problem::token_refused(
        state.tokens.config().auth_token_classes.iter().map(|class| (*class, text.clone())),
    )
}

/// Refuses a token that is of none of the classes that open routes, with a message of each.
async fn require_class(state: &AppState, claims: &Claims) -> Result<(), Problem> {
    let mut messages = Vec::new();
    for class in &state.tokens.config().auth_token_classes {
        let verdict = match class {
            TokenKind::Sliding => Box::pin(require_sliding(state, claims)).await?,
            class => claims.require(*class),
        };
        match verdict {
            Ok(()) => return Ok(()),
            Err(fault) => messages.push((*class, fault.to_string())),
        }
    }
    Err(Problem::token_refused(messages))
}

/// A sliding token is looked up on the blacklist first, unless it carries its session: that ends with it.
async fn require_sliding(state: &AppState, claims: &Claims) -> Result<Result<(), TokenFault>, Problem> {
    let has_session = matches!(state.claimed_session(claims), Ok(Some(_)));
    if !has_session {
        match claims.jti() {
            Err(fault) => return Ok(Err(fault)),
            Ok(None) => {}
            Ok(Some(jti)) => {
                let mut connection = state.database.acquire().await.map_err(Fault::from)?;
                if is_blacklisted(&mut connection, &jti).await.map_err(Fault::from)? {
                    return Ok(Err(TokenFault::Blacklisted));
                }
            }
        }
    }
    Ok(claims.require(TokenKind::Sliding))
}

/// Only behind [`require_sign_in`].
impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!(path = parts.uri.path(), "a handler wants a user on a route that asks for none");
            Problem::internal()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TokensConfig {
        let reader = shared::config::Reader::from_values([(
            "SIGNING_KEY".to_owned(),
            "0123456789abcdef0123456789abcdef".to_owned(),
        )]);
        crate::config::read_tokens(&mut { reader })
    }

    fn read_by(config: &TokensConfig, values: &[&[u8]]) -> Bearer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&config.auth_header_name, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers, config)
    }

    fn read(values: &[&[u8]]) -> Bearer {
        read_by(&config(), values)
    }

    #[test]
    fn each_of_the_configured_schemes_is_accepted_in_the_configured_header_alone() {
        let schemes = vec!["JWT".to_owned(), "Bearer".to_owned()];
        let name = axum::http::HeaderName::from_static("x-access-token");
        let config = TokensConfig { auth_header_types: schemes, auth_header_name: name, ..config() };
        assert_eq!(read_by(&config, &[b"JWT a"]), Bearer::Token("a".to_owned()));
        assert_eq!(read_by(&config, &[b"Bearer a"]), Bearer::Token("a".to_owned()));
        assert_eq!(read_by(&config, &[b"JWT"]), Bearer::Malformed);
        assert_eq!(read_by(&config, &[b"Token a"]), Bearer::None);
        let elsewhere =
            HeaderMap::from_iter([(axum::http::header::AUTHORIZATION, HeaderValue::from_static("JWT a"))]);
        assert_eq!(bearer(&elsewhere, &config), Bearer::None);
    }

    #[test]
    fn the_header_is_read_as_simple_jwt_reads_it() {
        let token = |text: &str| Bearer::Token(text.to_owned());
        assert_eq!(read(&[]), Bearer::None);
        assert_eq!(read(&[b""]), Bearer::None);
        assert_eq!(read(&[b"   "]), Bearer::None);
        assert_eq!(read(&[b"Basic x"]), Bearer::None);
        assert_eq!(read(&[b"Basic x y z"]), Bearer::None);
        assert_eq!(read(&[b"bearer x"]), Bearer::None, "case counts");
        assert_eq!(read(&[b"abc.def.ghi"]), Bearer::None);
        assert_eq!(read(&[b"Bearer"]), Bearer::Malformed);
        assert_eq!(read(&[b"Bearer a b"]), Bearer::Malformed);
        assert_eq!(read(&[b"Bearer a", b"Bearer b"]), Bearer::Malformed, "two headers are three words");
        assert_eq!(read(&[b"Bearer a"]), token("a"));
        assert_eq!(read(&[b"Bearer \t  a"]), token("a"));
        assert_eq!(read(&[b"Bearer \xff\xfe"]), token(""), "not text, and so no token");
    }
}
