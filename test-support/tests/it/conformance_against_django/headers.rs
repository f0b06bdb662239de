//! Headers: what is accepted, and who asks.

use super::case::{Case, JSON, refused};
use super::forge::Forge;

pub(super) fn cases(forge: &mut Forge) -> Vec<Case> {
    let mut cases = accepted(forge);
    cases.extend(open_routes());
    cases.extend(authorization(forge));
    cases.extend(protected_methods(forge));
    cases
}

fn accepted(forge: &mut Forge) -> Vec<Case> {
    let token = forge.draft("access").sign();
    let mut cases = Vec::new();
    for accept in [
        "*/*",
        "application/*",
        "application/json",
        "APPLICATION/JSON",
        "application/json;q=0",
        "*/*;q=0",
        "application/json; charset=utf-8",
        "application/json;version=1",
        "text/html",
        "text/html, application/json",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        "text/html, text/plain",
        "text/*",
        "*/json",
        "json",
        "garbage",
        ";",
        "application/xml",
        "application/jsonp",
        "image/*, application/*;q=0.1",
    ] {
        let what = format!("Accept: {accept:?}");
        let asking = |case: Case| case.header("accept", accept);
        cases.push(asking(Case::post(what.clone(), "/api/token/verify/", r#"{"token":"x"}"#)));
        cases.push(asking(Case::post(what.clone(), "/api/token/", "{}")));
        cases.push(asking(Case::new(what.clone(), "GET", "/api/token/")));
        cases.push(asking(Case::new(what.clone(), "GET", "/api/tasks/")));
        cases.push(asking(Case::tasks(what, &token)));
    }
    for accept in ["", "  ", ",", " , "] {
        let case = Case::post("an empty Accept header", "/api/token/verify/", r#"{"token":"x"}"#);
        let case = case.header("accept", accept);
        cases.push(case.ours("1.1, an empty Accept header", 401, refused("Token is invalid")));
    }
    cases
}

/// Whoever sends an `Authorization` header to an open route is not asked for it.
fn open_routes() -> Vec<Case> {
    let mut cases = Vec::new();
    for authorization in ["Bearer x", "Bearer", "Bearer a b", "Basic x", "", "garbage"] {
        for path in ["/api/token/", "/api/token/refresh/", "/api/token/verify/", "/api/token/blacklist/"] {
            let case = Case::post(format!("Authorization: {authorization:?}"), path, "{}");
            cases.push(case.header("authorization", authorization));
        }
    }
    cases
}

fn authorization(forge: &mut Forge) -> Vec<Case> {
    let token = forge.draft("access").sign();
    let values: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"   ".to_vec(),
        b"Bearer".to_vec(),
        b"Bearer ".to_vec(),
        b"bearer x".to_vec(),
        b"BEARER x".to_vec(),
        format!("bearer {token}").into(),
        format!("BEARER {token}").into(),
        format!("Bearer  {token}").into(),
        format!("Bearer\t{token}").into(),
        format!("Bearer \t {token} \t ").into(),
        format!("  Bearer {token}").into(),
        format!("Bearer {token} x").into(),
        format!("Bearer{token}").into(),
        format!("Bearer, {token}").into(),
        format!("Bearer: {token}").into(),
        format!("Bearer \"{token}\"").into(),
        format!("Bearer={token}").into(),
        format!("Token {token}").into(),
        format!("JWT {token}").into(),
        format!("Bearer {token},").into(),
        format!("Bearer {token}=").into(),
        format!("Bearer {token}==").into(),
        token.clone().into(),
        b"Basic Zm9vOmJhcg==".to_vec(),
        b"Basic a b c".to_vec(),
        b"Bearer a b c".to_vec(),
        b"Bearer x".to_vec(),
        b"Bearer ..".to_vec(),
        b"Bearer .".to_vec(),
        b"Bearer a.b.c".to_vec(),
        b"Bearer null".to_vec(),
        b"Bearer undefined".to_vec(),
        b"Bearer \xff\xfe".to_vec(),
        b"Bearer \xc3\xbc".to_vec(),
        b"Bearer \xc3\xbc.\xc3\xbc.\xc3\xbc".to_vec(),
        b"Bearer \xa0x".to_vec(),
        b"\xa0Bearer x".to_vec(),
        b"\xffBearer x".to_vec(),
        format!("Bearer {}", "x".repeat(12_000)).into(),
    ];
    let mut cases: Vec<Case> = values
        .into_iter()
        .map(|value| {
            let what = format!("Authorization: {}", String::from_utf8_lossy(&value[..value.len().min(60)]));
            Case::new(what, "GET", "/api/tasks/").header("authorization", value)
        })
        .collect();
    let good = format!("Bearer {token}");
    let twice = |first: &str, second: &str| {
        let case = Case::new("two headers", "GET", "/api/tasks/").header("authorization", first);
        case.header("authorization", second)
    };
    cases.push(twice(&good, &good));
    cases.push(twice("Bearer a", "Bearer b"));
    cases.push(twice("Basic a", &good));
    cases.push(Case::new("no header", "GET", "/api/tasks/"));
    cases.push(Case::new("in the query", "GET", &format!("/api/tasks/?token={token}&access_token={token}")));
    let cookie = format!("access={token}; access_token={token}; Authorization={token}");
    cases.push(Case::new("in a cookie", "GET", "/api/tasks/").header("cookie", cookie));
    cases.push(Case::new("in another header", "GET", "/api/tasks/").header("x-access-token", good));
    cases
}

fn protected_methods(forge: &mut Forge) -> Vec<Case> {
    let token = format!("Bearer {}", forge.draft("access").sign());
    let mut cases = Vec::new();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"] {
        cases.push(Case::new("without a token", method, "/api/tasks/"));
        cases.push(Case::new("with a bad token", method, "/api/tasks/").header("authorization", "Bearer x"));
        cases.push(Case::new("with a token", method, "/api/tasks/").header("authorization", token.as_str()));
    }
    // Our protected route is another one than the peer's behind this point: it creates tasks, and says other words of itself.
    cases.push(Case::new("without a token", "OPTIONS", "/api/tasks/"));
    for (what, content_type, body) in [
        ("an unknown type", "text/plain", "x"),
        ("no type", "", "x"),
        ("a broken body", JSON, "{"),
        ("a broken number", JSON, "NaN"),
    ] {
        let case = Case::new(what, "POST", "/api/tasks/").body(content_type, body);
        cases.push(case.clone());
        cases.push(case.clone().header("authorization", "Bearer x"));
        cases.push(case.header("authorization", token.as_str()));
    }
    cases
}
