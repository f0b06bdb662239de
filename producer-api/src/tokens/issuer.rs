//! Mints tokens with the keys in force and judges those that come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::value::{RawValue, to_raw_value};
use shared::entropy::Entropy;
use shared::ids::{SessionId, UserId};
use uuid::Uuid;

use super::claims::{Claims, SESSION_CLAIM, TokenFault, TokenKind};
use super::judge::{Rules, judge};
use super::keys::{Keys, SigningError};
use crate::config::{TokensConfig, UserIdField};

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The signature failed.
    #[error("the token can't be signed")]
    Sign(#[from] SigningError),
    /// A claim can't be written as JSON.
    #[error("a claim can't be encoded")]
    Encode(#[from] serde_json::Error),
}

/// Whom a token is for.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// His id.
    pub user_id: UserId,
    /// His name.
    pub username: &'a str,
    /// The mark of his password.
    pub password_stamp: Uuid,
    /// The session, if tokens carry it.
    pub session: Option<SessionId>,
    /// When the session is over at the latest, and with it every token; none if nothing but its tokens limits it.
    pub session_end: Option<DateTime<Utc>>,
}

/// A refresh or sliding token that was just made, with what is to be recorded of it. Never printed.
pub struct Issued {
    /// The token.
    pub token: String,
    /// Its claims, from which access tokens are made.
    pub claims: Claims,
    /// Its id.
    pub jti: String,
    /// When it runs out for good.
    pub expires_at: DateTime<Utc>,
    /// Until when its row must be kept.
    pub kept_until: DateTime<Utc>,
}

/// Holds the keys, lifetimes and names of claims.
#[derive(Debug)]
pub struct TokenIssuer {
    config: TokensConfig,
    rules: Rules,
    keys: Keys,
    entropy: Entropy,
}

impl TokenIssuer {
    /// An issuer that signs with `keys`.
    pub fn new(config: TokensConfig, keys: Keys, entropy: Entropy) -> Self {
        let rules = Rules {
            names: Arc::new(config.claims.clone()),
            user_id_field: config.user_id_field,
            leeway: config.leeway.as_secs_f64(),
            audience: config.audience.clone(),
            issuer: config.issuer.clone(),
        };
        Self { config, rules, keys, entropy }
    }

    /// What is in tokens, how long they are good, how they are sent.
    pub fn config(&self) -> &TokensConfig {
        &self.config
    }

    /// The keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A refresh token for somebody who logs in at `now`.
    pub fn refresh_token(&self, holder: Holder<'_>, now: DateTime<Utc>) -> Result<Issued, MintError> {
        let expires_at = until(now, self.config.refresh_lifetime, holder.session_end);
        let claims = self.with_holder(self.own_claims(TokenKind::Refresh, now, expires_at)?, holder)?;
        self.issued(claims, expires_at, holder.session_end)
    }

    /// A sliding token for somebody who logs in at `now`.
    pub fn sliding_token(&self, holder: Holder<'_>, now: DateTime<Utc>) -> Result<Issued, MintError> {
        let expires_at = until(now, self.config.sliding_lifetime, holder.session_end);
        let refreshable_until = until(now, self.config.sliding_refresh_lifetime, holder.session_end);
        let mut claims = self.with_holder(self.own_claims(TokenKind::Sliding, now, expires_at)?, holder)?;
        let name = self.config.claims.refresh_exp.clone();
        claims.members.insert(name, to_raw_value(&refreshable_until.timestamp())?);
        self.issued(claims, expires_at.max(refreshable_until), holder.session_end)
    }

    /// An access token made from a refresh token of a session that is over at `session_end`: every claim is taken over
    /// but those that are a token's own.
    pub fn access_token(
        &self,
        refresh: &Claims,
        now: DateTime<Utc>,
        session_end: Option<DateTime<Utc>>,
    ) -> Result<String, MintError> {
        let expires_at = until(now, self.config.access_lifetime, session_end);
        let mut claims = self.own_claims(TokenKind::Access, now, expires_at)?;
        for (name, value) in &refresh.members {
            if !self.is_own(name) {
                claims.members.insert(name.clone(), value.clone());
            }
        }
        self.sign(&claims)
    }

    /// The refresh token that takes the place of `refresh`, of a session that is over at `session_end`: its claims with
    /// an id and times of its own.
    pub fn successor(
        &self,
        refresh: &Claims,
        now: DateTime<Utc>,
        session_end: Option<DateTime<Utc>>,
    ) -> Result<Issued, MintError> {
        let expires_at = until(now, self.config.refresh_lifetime, session_end);
        let own = self.own_claims(TokenKind::Refresh, now, expires_at)?;
        let mut claims = refresh.clone();
        claims.members.extend(own.members);
        self.issued(claims, expires_at, session_end)
    }

    /// The same successor once more, for a client that did not get it: its id and times as they were recorded.
    pub fn successor_again(
        &self,
        refresh: &Claims,
        jti: &str,
        issued_at: DateTime<Utc>,
        expires_at: DateTime<Utc>,
    ) -> Result<String, MintError> {
        let mut claims = refresh.clone();
        claims.members.extend(self.own_claims_of(TokenKind::Refresh, jti, issued_at, expires_at)?.members);
        self.sign(&claims)
    }

    /// A sliding token of a session that is over at `session_end`, renewed: all claims but its times are kept, its id,
    /// too. With it goes its new expiry.
    pub fn slid(
        &self,
        sliding: &Claims,
        now: DateTime<Utc>,
        session_end: Option<DateTime<Utc>>,
    ) -> Result<(String, DateTime<Utc>), MintError> {
        let expires_at = until(now, self.config.sliding_lifetime, session_end);
        let mut claims = sliding.clone();
        claims.members.insert("exp".to_owned(), to_raw_value(&expires_at.timestamp())?);
        claims.members.insert("iat".to_owned(), to_raw_value(&now.timestamp())?);
        Ok((self.sign(&claims)?, expires_at))
    }

    /// Until when the row of a refresh or sliding token that runs out at `expires_at` must be kept: a leeway longer, and
    /// as long as an access token made from it at the last moment is good, which is no longer than its session.
    pub fn kept_until(&self, expires_at: DateTime<Utc>, session_end: Option<DateTime<Utc>>) -> DateTime<Utc> {
        until(expires_at, self.config.access_lifetime, session_end) + delta(self.config.leeway) * 2
    }

    /// The claims of `token`, if it is well formed, rightly signed, within its times at `now` and meant for us.
    pub async fn judge(&self, token: &str, now: DateTime<Utc>) -> Result<Claims, TokenFault> {
        judge(token, &*self.keys.ring_for(token).await, &self.rules, now)
    }

    /// Whether an instant of a token, in seconds, is over at `now`, leeway included.
    pub fn is_over(&self, seconds: i64, now: DateTime<Utc>) -> bool {
        self.left(seconds, now).is_zero()
    }

    /// How long it is until an instant of a token, in seconds, is over, leeway included; zero once it is.
    pub fn left(&self, seconds: i64, now: DateTime<Utc>) -> Duration {
        // Without a calendar: a claim may hold an instant that none has.
        let leeway = i64::try_from(self.config.leeway.as_micros()).unwrap_or(i64::MAX);
        let end = seconds.saturating_mul(1_000_000).saturating_add(leeway);
        let left = end.saturating_sub(now.timestamp_micros());
        Duration::from_micros(u64::try_from(left).unwrap_or(0))
    }

    fn issued(
        &self,
        claims: Claims,
        expires_at: DateTime<Utc>,
        session_end: Option<DateTime<Utc>>,
    ) -> Result<Issued, MintError> {
        let jti = claims.jti().ok().flatten().unwrap_or_default();
        let kept_until = self.kept_until(expires_at, session_end);
        Ok(Issued { token: self.sign(&claims)?, claims, jti, expires_at, kept_until })
    }

    fn own_claims(
        &self,
        kind: TokenKind,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Claims, MintError> {
        let jti = self.entropy.uuid_v4().simple().to_string();
        self.own_claims_of(kind, &jti, now, until)
    }

    /// The claims that are a token's own and never copied.
    fn own_claims_of(
        &self,
        kind: TokenKind,
        jti: &str,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Claims, MintError> {
        let names = &self.config.claims;
        let members: BTreeMap<String, Box<RawValue>> = [
            (names.token_type.clone(), to_raw_value(kind.as_str())?),
            ("exp".to_owned(), to_raw_value(&until.timestamp())?),
            ("iat".to_owned(), to_raw_value(&now.timestamp())?),
            (names.jti.clone(), to_raw_value(jti)?),
        ]
        .into();
        Ok(Claims { members, names: Arc::clone(&self.rules.names), user_id_field: self.config.user_id_field })
    }

    fn is_own(&self, name: &str) -> bool {
        // A plain "jti" is never copied, whatever the claim is called.
        let names = &self.config.claims;
        name == names.token_type || name == names.jti || ["exp", "iat", "jti"].contains(&name)
    }

    fn with_holder(&self, mut claims: Claims, holder: Holder<'_>) -> Result<Claims, MintError> {
        let names = &self.config.claims;
        let user = match self.config.user_id_field {
            UserIdField::Id if self.config.user_id_as_number => to_raw_value(&holder.user_id)?,
            UserIdField::Id => to_raw_value(&holder.user_id.to_string())?,
            UserIdField::Username => to_raw_value(holder.username)?,
        };
        claims.members.insert(names.user_id.clone(), user);
        if let Some(session) = holder.session {
            claims.members.insert(SESSION_CLAIM.to_owned(), to_raw_value(&session)?);
        }
        if self.config.check_revoke_token {
            claims.members.insert(names.revoke.clone(), to_raw_value(&password_mark(holder.password_stamp))?);
        }
        Ok(claims)
    }

    /// Signs, with the issuer and the audience of the settings in the place of any that were copied.
    fn sign(&self, claims: &Claims) -> Result<String, MintError> {
        let mut members: BTreeMap<&str, &RawValue> =
            claims.members.iter().map(|(name, value)| (name.as_str(), &**value)).collect();
        let issuer = self.config.issuer.as_ref().map(to_raw_value).transpose()?;
        if let Some(issuer) = &issuer {
            members.insert("iss", issuer);
        }
        if let Some(audience) = &self.config.audience {
            members.insert("aud", &audience.claim);
        }
        Ok(self.keys.ring().sign(&serde_json::to_vec(&members)?)?)
    }
}

/// How a password's stamp stands in tokens: 32 upper-case hex digits, as SimpleJWT's.
pub fn password_mark(stamp: Uuid) -> String {
    format!("{:X}", stamp.simple())
}

/// A lifetime later than `now`, and no later than the end of the session.
fn until(now: DateTime<Utc>, lifetime: Duration, session_end: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let until = now + delta(lifetime);
    session_end.map_or(until, |end| until.min(end))
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

#[cfg(test)]
mod tests {
    use shared::clock::Clock;
    use shared::config::Secret;

    use super::super::keys::{Algorithm, KeysConfig};
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn config(secret: &str) -> TokensConfig {
        TokensConfig::with_keys(KeysConfig {
            algorithm: Algorithm::default(),
            signing_key: Some(Secret::new(secret)),
            previous_signing_key: None,
            verifying_key: None,
            signing_keys_dir: None,
            jwk_url: None,
            longest_lifetime: Duration::from_hours(24),
        })
    }

    fn issuer_of(config: TokensConfig) -> TokenIssuer {
        let keys = Keys::open(&config.keys, Clock::system()).unwrap();
        TokenIssuer::new(config, keys, Entropy::seeded(5))
    }

    fn issuer() -> TokenIssuer {
        issuer_of(config(KEY))
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_763_700_000, 400_000_000).unwrap()
    }

    const HOLDER: Holder<'static> = Holder {
        user_id: UserId(7),
        username: "froggly",
        password_stamp: Uuid::from_u128(0xabc),
        session: Some(SessionId(Uuid::from_u128(3))),
        session_end: None,
    };

    fn names(claims: &Claims) -> Vec<&str> {
        claims.members.keys().map(String::as_str).collect()
    }

    fn claims(issuer: &TokenIssuer, json: &str) -> Claims {
        let names = Arc::clone(&issuer.rules.names);
        Claims { members: serde_json::from_str(json).unwrap(), names, user_id_field: UserIdField::Id }
    }

    #[tokio::test]
    async fn a_pair_has_exactly_simple_jwts_claims_and_the_session() {
        let issuer = issuer();
        let refresh = issuer.refresh_token(HOLDER, now()).unwrap();
        let access = issuer.access_token(&refresh.claims, now(), None).unwrap();
        let access = issuer.judge(&access, now()).await.unwrap();
        assert_eq!(names(&access), ["exp", "iat", "jti", "sid", "token_type", "user_id"]);
        assert_eq!(access.raw("user_id"), Some(r#""7""#));
        assert_eq!(access.expires_at() - access.issued_at().unwrap(), 300);
        assert_eq!(refresh.claims.expires_at() - refresh.claims.issued_at().unwrap(), 86_400);
        assert_eq!(access.session(), Ok(HOLDER.session));
        let jti = access.jti().unwrap().unwrap();
        assert_ne!(jti, refresh.jti);
        assert!(jti.len() == 32 && jti.as_bytes()[12] == b'4', "{jti}");
        assert!(access.require(TokenKind::Access).is_ok());
    }

    #[tokio::test]
    async fn settings_name_and_fill_the_claims() {
        let mut config = config(KEY);
        config.claims = super::super::ClaimNames {
            user_id: "uid".to_owned(),
            token_type: "kind".to_owned(),
            jti: "id".to_owned(),
            refresh_exp: "until".to_owned(),
            revoke: "mark".to_owned(),
        };
        config.check_revoke_token = true;
        config.user_id_as_number = true;
        config.issuer = Some("us".to_owned());
        let issuer = issuer_of(config);
        let sliding = issuer.sliding_token(Holder { session: None, ..HOLDER }, now()).unwrap();
        let claims = issuer.judge(&sliding.token, now()).await.unwrap();
        assert_eq!(names(&claims), ["exp", "iat", "id", "iss", "kind", "mark", "uid", "until"]);
        assert_eq!((claims.raw("uid"), claims.raw("kind")), (Some("7"), Some(r#""sliding""#)));
        assert_eq!(claims.password_mark().unwrap(), "00000000000000000000000000000ABC");
        assert_eq!(claims.refreshable_until().unwrap() - claims.expires_at(), 86_400 - 300);
    }

    #[tokio::test]
    async fn foreign_claims_are_taken_over_to_the_digit() {
        let issuer = issuer();
        let refresh =
            r#"{"user_id":7,"n":12345678901234567890123,"f":1.0,"o":{"a":[1]},"iat":1,"exp":2,"jti":"x"}"#;
        let access = issuer.access_token(&claims(&issuer, refresh), now(), None).unwrap();
        let access = issuer.judge(&access, now()).await.unwrap();
        assert_eq!(access.raw("n"), Some("12345678901234567890123"));
        assert_eq!(access.raw("f"), Some("1.0"));
        assert_eq!(access.raw("o"), Some(r#"{"a":[1]}"#));
        assert_eq!(access.raw("user_id"), Some("7"));
        assert_eq!(access.issued_at(), Some(now().timestamp()));
    }

    #[tokio::test]
    async fn a_successor_can_be_signed_again_to_the_byte() {
        let issuer = issuer();
        let old = issuer.refresh_token(HOLDER, now()).unwrap();
        let new = issuer.successor(&old.claims, now() + TimeDelta::minutes(1), None).unwrap();
        assert_ne!(new.jti, old.jti);
        let issued_at = now() + TimeDelta::minutes(1);
        let again = issuer.successor_again(&old.claims, &new.jti, issued_at, new.expires_at).unwrap();
        assert_eq!(again, new.token);
    }

    #[tokio::test]
    async fn a_sliding_token_keeps_its_id_and_its_end() {
        let issuer = issuer();
        let old = issuer.sliding_token(HOLDER, now()).unwrap();
        let later = now() + TimeDelta::minutes(4);
        let (token, expires_at) = issuer.slid(&old.claims, later, None).unwrap();
        let new = issuer.judge(&token, later).await.unwrap();
        assert_eq!(new.jti(), old.claims.jti());
        assert_eq!(new.refreshable_until(), old.claims.refreshable_until());
        assert_eq!((new.issued_at().unwrap(), new.expires_at()), (later.timestamp(), expires_at.timestamp()));
    }

    #[tokio::test]
    async fn no_token_outlives_its_session() {
        let issuer = issuer();
        let end = now() + TimeDelta::seconds(100);
        let holder = Holder { session_end: Some(end), ..HOLDER };
        let refresh = issuer.refresh_token(holder, now()).unwrap();
        let sliding = issuer.sliding_token(holder, now()).unwrap();
        let successor = issuer.successor(&refresh.claims, now(), Some(end)).unwrap();
        for issued in [&refresh, &sliding, &successor] {
            assert_eq!((issued.expires_at, issued.kept_until), (end, end));
            assert_eq!(issued.claims.expires_at(), end.timestamp());
        }
        assert_eq!(sliding.claims.refreshable_until(), Ok(end.timestamp()));
        let access = issuer.access_token(&refresh.claims, now(), Some(end)).unwrap();
        let (slid, until) = issuer.slid(&sliding.claims, now(), Some(end)).unwrap();
        assert_eq!(until, end);
        for token in [access, slid] {
            assert_eq!(issuer.judge(&token, now()).await.unwrap().expires_at(), end.timestamp());
        }
        let late = Some(now() + TimeDelta::days(9));
        assert_eq!(
            issuer.successor(&refresh.claims, now(), late).unwrap().expires_at,
            now() + TimeDelta::days(1)
        );
    }

    /// Goes red when a row can be purged, and its place on the blacklist with it, while a token of it is still good.
    #[tokio::test]
    async fn the_row_of_a_token_is_kept_until_nothing_that_came_of_it_is_good() {
        let issuer = issuer_of(TokensConfig { leeway: Duration::from_secs(10), ..config(KEY) });
        let refresh = issuer.refresh_token(HOLDER, now()).unwrap();
        let last_moment = DateTime::from_timestamp(refresh.claims.expires_at() + 9, 900_000_000).unwrap();
        assert!(issuer.judge(&refresh.token, last_moment).await.is_ok());
        let access = issuer.access_token(&refresh.claims, last_moment, None).unwrap();
        for token in [refresh.token, access] {
            assert_eq!(issuer.judge(&token, refresh.kept_until).await.unwrap_err(), TokenFault::Expired);
        }
    }

    #[tokio::test]
    async fn another_key_and_a_changed_byte_are_invalid() {
        let issuer = issuer();
        let token = issuer.refresh_token(HOLDER, now()).unwrap().token;
        assert!(issuer.judge(&token, now()).await.is_ok());
        let other = issuer_of(config("another secret of more than 32 bytes"));
        assert_eq!(other.judge(&token, now()).await.map(|_| ()), Err(TokenFault::Invalid));
        let mut bytes = token.clone().into_bytes();
        let middle = bytes.len() / 2;
        bytes[middle] = if bytes[middle] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(issuer.judge(&changed, now()).await.map(|_| ()), Err(TokenFault::Invalid));
    }
}
