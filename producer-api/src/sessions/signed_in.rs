//! Who is asking: the layer before every protected route, and the extractor behind it.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use shared::ids::{SessionId, UserId};

use super::store;
use crate::fault::Fault;
use crate::problem::Problem;
use crate::state::AppState;
use crate::tokens::{TokenFault, TokenKind, UserClaim};

/// The one scheme word of the `Authorization` header; case counts.
const SCHEME: &[u8] = b"Bearer";

/// The user behind a request, as the database has him now.
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

/// What the `Authorization` header holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Bearer {
    /// No token: no header, an empty one, or another scheme.
    None,
    /// Our scheme with no word or too many behind it.
    Malformed,
    /// What should be a token. Bytes that are no text can't be one, and are empty here.
    Token(String),
}

/// Reads the header as SimpleJWT does: bytes, split on runs of ASCII white space. Several headers count as one, joined
/// by commas.
pub fn bearer(headers: &HeaderMap) -> Bearer {
    let values: Vec<&[u8]> =
        headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    let joined = values.join(&b","[..]);
    let words: Vec<&[u8]> = joined
        .split(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
        .filter(|word| !word.is_empty())
        .collect();
    match words.as_slice() {
        [SCHEME, token] => Bearer::Token(String::from_utf8(token.to_vec()).unwrap_or_default()),
        [SCHEME, ..] => Bearer::Malformed,
        _ => Bearer::None,
    }
}

/// Lets a request through if its token, its session and its user are good now, with [`SignedIn`] for the handler.
pub async fn require_sign_in(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let token = match bearer(request.headers()) {
        Bearer::None => return Err(Problem::not_authenticated()),
        Bearer::Malformed => return Err(Problem::bad_authorization_header()),
        Bearer::Token(token) => token,
    };
    let signed_in = identify(&state, &token).await?;
    request.extensions_mut().insert(signed_in);
    Ok(next.run(request).await)
}

async fn identify(state: &AppState, token: &str) -> Result<SignedIn, Problem> {
    let refused = |fault: TokenFault| Problem::access_token_refused(&fault.to_string());
    let claims = state.tokens.judge(token, state.clock.now()).map_err(refused)?;
    claims.require(TokenKind::Access).map_err(refused)?;
    let session_id = claims.session().map_err(refused)?;
    let user_id = match claims.user() {
        UserClaim::Absent => return Err(Problem::no_user_identification()),
        UserClaim::Null | UserClaim::Unusable => return Err(Problem::user_not_found()),
        UserClaim::Id(user_id) => user_id,
    };
    let mut connection = state.database.acquire().await.map_err(Fault::from)?;
    let standing = store::standing(&mut connection, user_id, session_id).await.map_err(Fault::from)?;
    let standing = standing.ok_or_else(Problem::user_not_found)?;
    if !standing.session_active {
        return Err(refused(TokenFault::Blacklisted));
    }
    if !standing.is_active {
        return Err(Problem::user_inactive());
    }
    Ok(SignedIn { user_id, username: standing.username, is_staff: standing.is_staff, session_id })
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

    fn read(values: &[&[u8]]) -> Bearer {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        bearer(&headers)
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
