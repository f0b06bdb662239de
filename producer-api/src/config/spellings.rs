//! The spellings in which SimpleJWT's settings about tokens may be written: Python's lists and paths, CGI's header names.

use axum::http::HeaderName;
use serde_json::value::RawValue;
use shared::config::Reader;

use super::tokens::{
    AUDIENCE, AUTH_HEADER_NAME, AUTH_HEADER_TYPES, AUTH_TOKEN_CLASSES, JTI_CLAIM, REVOKE_TOKEN_CLAIM,
    SLIDING_TOKEN_REFRESH_EXP_CLAIM, TOKEN_TYPE_CLAIM, USER_ID_CLAIM, USER_ID_CLAIM_TYPE, USER_ID_FIELD,
    UserIdField,
};
use crate::tokens::{Audience, ClaimNames, TokenKind};

/// Claims with a meaning of their own; no other may be called like them. `sid` is ours.
const RESERVED_CLAIMS: [&str; 6] = ["exp", "iat", "nbf", "aud", "iss", "sid"];

/// A JSON list of texts, or the text itself, cut at the commas if `commas`.
fn list(text: &str, commas: bool) -> Option<Vec<String>> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).ok();
    }
    let parts = if commas { text.split(',').map(str::trim).collect() } else { vec![text] };
    Some(parts.into_iter().map(str::to_owned).collect())
}

pub(super) fn audience(reader: &mut Reader) -> Option<Audience> {
    let text = reader.optional(&AUDIENCE)?;
    let values = list(&text, false)
        .filter(|values| !values.is_empty() && values.iter().all(|value| !value.is_empty()));
    let Some(accepted) = values else {
        reader.problem("AUDIENCE: give a text, or a JSON list of texts such as [\"web\", \"app\"]");
        return None;
    };
    let as_list = text.trim_start().starts_with('[');
    let claim = if as_list { serde_json::to_string(&accepted) } else { serde_json::to_string(&accepted[0]) };
    let claim = RawValue::from_string(claim.ok()?).ok()?;
    Some(Audience { accepted, claim })
}

pub(super) fn header_types(reader: &mut Reader) -> Vec<String> {
    let text = reader.required(&AUTH_HEADER_TYPES);
    let right = |word: &String| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic());
    let words = list(&text, true).filter(|words| !words.is_empty() && words.iter().all(right));
    words.unwrap_or_else(|| {
        reader.problem(format!("AUTH_HEADER_TYPES: {text:?} is not one or more words such as Bearer,JWT"));
        Vec::new()
    })
}

/// Django's spelling is CGI's: `HTTP_` before, underscores for dashes.
pub(super) fn header_name(reader: &mut Reader) -> HeaderName {
    let text = reader.required(&AUTH_HEADER_NAME);
    let plain = text.strip_prefix("HTTP_").unwrap_or(&text).replace('_', "-");
    HeaderName::try_from(plain).unwrap_or_else(|_| {
        reader.problem(format!("AUTH_HEADER_NAME: {text:?} is not the name of a header"));
        axum::http::header::AUTHORIZATION
    })
}

pub(super) fn token_classes(reader: &mut Reader) -> Vec<TokenKind> {
    let text = reader.required(&AUTH_TOKEN_CLASSES);
    let class = |name: &String| match name.strip_prefix("rest_framework_simplejwt.tokens.").unwrap_or(name) {
        "AccessToken" => Some(TokenKind::Access),
        "SlidingToken" => Some(TokenKind::Sliding),
        _ => None,
    };
    let classes = list(&text, true).and_then(|names| names.iter().map(class).collect::<Option<Vec<_>>>());
    classes.filter(|classes| !classes.is_empty()).unwrap_or_else(|| {
        reader.problem(format!(
            "AUTH_TOKEN_CLASSES: {text:?} is not a list of AccessToken and SlidingToken; own Python classes can't be used"
        ));
        Vec::new()
    })
}

pub(super) fn user_id_field(reader: &mut Reader) -> UserIdField {
    match reader.required(&USER_ID_FIELD).as_str() {
        "id" | "pk" => UserIdField::Id,
        "username" => UserIdField::Username,
        other => {
            reader.problem(format!(
                "USER_ID_FIELD: {other:?} won't do; use id or username (an e-mail address is unique among verified ones \
                 only)"
            ));
            UserIdField::Id
        }
    }
}

pub(super) fn user_id_as_number(reader: &mut Reader) -> bool {
    match reader.required(&USER_ID_CLAIM_TYPE).as_str() {
        "string" => false,
        "number" => true,
        other => {
            reader.problem(format!("USER_ID_CLAIM_TYPE: {other:?} is not string or number"));
            false
        }
    }
}

/// Refuses names under which no token of ours would be good: `sub` and `jti` must be texts in every token, and a claim
/// called `jti` is never copied from a refresh token to its access tokens.
pub(super) fn check_claims(reader: &mut Reader, names: &ClaimNames, user_id_is_number: bool) {
    if names.user_id == "sub" && user_id_is_number {
        reader.problem(
            "USER_ID_CLAIM: the claim \"sub\" must be a text; choose another, or USER_ID_CLAIM_TYPE=string",
        );
    }
    let texts = ["sub", "jti"];
    if texts.contains(&names.refresh_exp.as_str()) {
        reader.problem(format!(
            "SLIDING_TOKEN_REFRESH_EXP_CLAIM: the claim {:?} must be a text and can't hold a time; choose another",
            names.refresh_exp
        ));
    }
    for (setting, name) in [(&USER_ID_CLAIM, &names.user_id), (&REVOKE_TOKEN_CLAIM, &names.revoke)] {
        if name == "jti" {
            reader.problem(format!(
                "{}: the claim \"jti\" is not copied to access tokens; choose another",
                setting.name
            ));
        }
    }
}

pub(super) fn claim_names(reader: &mut Reader) -> ClaimNames {
    let settings = [
        &USER_ID_CLAIM,
        &TOKEN_TYPE_CLAIM,
        &JTI_CLAIM,
        &SLIDING_TOKEN_REFRESH_EXP_CLAIM,
        &REVOKE_TOKEN_CLAIM,
    ];
    let names = settings.map(|setting| reader.required(setting));
    for (index, (setting, name)) in settings.iter().zip(&names).enumerate() {
        if RESERVED_CLAIMS.contains(&name.as_str()) {
            reader
                .problem(format!("{}: the claim {name:?} has another meaning; choose another", setting.name));
        }
        if let Some(first) = names[..index].iter().position(|other| other == name) {
            let first = settings[first].name;
            reader.problem(format!("{}: {first} is called {name:?}, too; choose another", setting.name));
        }
    }
    let [user_id, token_type, jti, refresh_exp, revoke] = names;
    ClaimNames { user_id, token_type, jti, refresh_exp, revoke }
}
