//! Tokens of every make, each on each route that takes one.

use jsonwebtoken::Algorithm;

use super::case::{Case, refused};
use super::forge::{Draft, Forge};

/// Differences that the contract says nothing of: nobody has decided yet whether they are ours on purpose.
const NOT_ON_THE_PAGE: &str = "nothing on the contract's page";

/// The routes that take a token, with the kind of token that each wants.
const ROUTES: [(&str, &str); 4] = [
    ("/api/token/verify/", "refresh"),
    ("/api/token/refresh/", "refresh"),
    ("/api/token/blacklist/", "refresh"),
    ("/api/tasks/", "access"),
];

pub(super) fn cases(forge: &mut Forge) -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, kind) in ROUTES {
        cases.extend(forms(forge, path, kind));
        cases.extend(jose_headers(forge, path, kind));
        cases.extend(times(forge, path, kind));
        cases.extend(claims(forge, path, kind));
        cases.extend(users(forge, path, kind));
        cases.extend(orders(forge, path, kind));
    }
    cases.extend(copied(forge));
    cases
}

fn forms(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let mut good = || forge.draft(kind).sign();
    let (first, second) = (good(), good());
    let (message, signature) = first.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let other_signature = second.rsplit_once('.').unwrap().1;
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let mut cases: Vec<Case> = [
        ("good", good()),
        ("padded once", format!("{}=", good())),
        ("padded twice", format!("{}==", good())),
        ("a padded header", format!("{header}=.{payload}.{signature}")),
        ("two parts", message.to_owned()),
        ("no signature", format!("{message}.")),
        ("four parts", format!("{first}.x")),
        ("a dot too many", format!("{first}.")),
        ("a dot before", format!(".{first}")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("dots", "..".to_owned()),
        ("a word", "abc".to_owned()),
        ("a foreign character", format!("{first}!")),
        ("a foreign character inside", format!("{header}.{payload}!.{signature}")),
        ("a slash", format!("{message}./{}", &signature[1..])),
        ("another's signature", format!("{message}.{other_signature}")),
        ("another signature", format!("{message}.{flipped}{}", &signature[1..])),
        ("a cut signature", format!("{message}.{}", &signature[..40])),
        ("the payload of another", {
            let (_, payload) = second.rsplit_once('.').unwrap().0.split_once('.').unwrap();
            format!("{header}.{payload}.{signature}")
        }),
        ("not ASCII", format!("{first}ü")),
    ]
    .into_iter()
    .map(|(what, token)| Case::token(what, path, &token))
    .collect();
    for (what, token) in
        [("blanks around", format!("  {} \t", good())), ("a line break", format!("{}\n", good()))]
    {
        if path != "/api/tasks/" {
            cases.push(Case::token(what, path, &token));
        }
    }
    let draft = forge.draft(kind);
    for payload in
        ["", "null", "7", "\"text\"", "[]", "[1,2]", "true", "not json", "{", "{}x", "{\"exp\":NaN}"]
    {
        cases.push(Case::token(format!("the payload {payload:?}"), path, &draft.sign_payload(payload)));
    }
    for payload in ["{}", " {} "] {
        let case = Case::token("no claims", path, &draft.sign_payload(payload));
        cases.push(case.ours_refuses_looking_up("6, no jti", "Token has no 'exp' claim"));
    }
    cases.push(Case::token("a payload that is no UTF-8", path, &draft.sign_payload(b"{\"a\":\"\xff\"}")));
    cases
}

fn jose_headers(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = [
        r#"{"alg":"HS256"}"#,
        r#"{"typ":"JWT","alg":"HS256"}"#,
        r#"{ "alg" : "HS256" , "typ" : "JWT" }"#,
        r#"{"alg":"HS256","typ":"anything"}"#,
        r#"{"alg":"HS256","typ":7}"#,
        r#"{"alg":"HS256","kid":"a"}"#,
        r#"{"alg":"HS256","kid":""}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","kid":null}"#,
        r#"{"alg":"HS256","jku":"http://elsewhere","jwk":{},"x5u":"x","cty":"JWT"}"#,
        r#"{"alg":"HS256","crit":["x"]}"#,
        r#"{"alg":"HS256","crit":["x"],"x":1}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":"x"}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","b64":true}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":7}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":" HS256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":"EdDSA"}"#,
        r#"{"alg":"XX256"}"#,
        r#"{"typ":"JWT"}"#,
        "{}",
        "[]",
        "null",
        "\"HS256\"",
        "not json",
        "",
    ]
    .into_iter()
    .map(|header| Case::token(format!("the header {header}"), path, &forge.draft(kind).header(header).sign()))
    .collect();
    let understood = forge.draft(kind).header(r#"{"alg":"HS256","crit":["b64"],"b64":true}"#).sign();
    let case = Case::token("crit b64, and as usual", path, &understood);
    cases.push(case.ours_refuses("3.4, we understand none", "Token is invalid"));
    let unsigned = |draft: Draft| {
        let token = draft.header(r#"{"alg":"none","typ":"JWT"}"#).sign();
        format!("{}.", token.rsplit_once('.').unwrap().0)
    };
    cases.push(Case::token("unsigned", path, &unsigned(forge.draft(kind))));
    let other = forge.draft(kind).key("another key of at least thirty-two bytes").sign();
    cases.push(Case::token("another key", path, &other));
    cases.push(Case::token("an empty key", path, &forge.draft(kind).key("").sign()));
    for (algorithm, header) in [(Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")] {
        let draft = forge.draft(kind).algorithm(algorithm);
        cases.push(Case::token("another size than it says", path, &draft.sign()));
        let said = draft.header(&format!(r#"{{"alg":"{header}","typ":"JWT"}}"#));
        cases.push(Case::token("another size, which it says", path, &said.sign()));
    }
    cases
}

fn times(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let now = forge.now;
    let (past, future) = (now - 600, now + 3_000);
    let mut cases = Vec::new();
    for exp in [
        now.to_string(),
        past.to_string(),
        format!("{past}.9"),
        format!("{future}.9"),
        format!("{future}.0"),
        "0".to_owned(),
        "-1".to_owned(),
        "-1.5".to_owned(),
        "1e3".to_owned(),
        "4e9".to_owned(),
        "true".to_owned(),
        "false".to_owned(),
        "null".to_owned(),
        "\"soon\"".to_owned(),
        "\"\"".to_owned(),
        "[]".to_owned(),
        format!("[{future}]"),
        "{}".to_owned(),
        "253402300799".to_owned(),
        "Infinity".to_owned(),
    ] {
        cases.push(Case::token(format!("exp {exp}"), path, &forge.draft(kind).with("exp", exp).sign()));
    }
    let strings = [format!("\"{future}\""), format!("\"{past}\""), format!("\" {future} \"")];
    let large = ["253402300800", "99999999999999999999", "1e30", "1e308"];
    for exp in strings.iter().map(String::as_str).chain(large) {
        let case = Case::token(format!("exp {exp}"), path, &forge.draft(kind).with("exp", exp).sign());
        cases.push(case.ours_refuses("6, exp a string or too big for a date", "Token is invalid"));
    }
    for exp in ["1e400", "-1e400", "-99999999999999999999"] {
        cases.push(Case::token(format!("exp {exp}"), path, &forge.draft(kind).with("exp", exp).sign()));
    }
    for name in ["iat", "nbf"] {
        for value in [
            past.to_string(),
            now.to_string(),
            future.to_string(),
            format!("{past}.5"),
            format!("{future}.5"),
            "0".to_owned(),
            "-5".to_owned(),
            "true".to_owned(),
            "null".to_owned(),
            "\"now\"".to_owned(),
            format!("\"{future}\""),
            "[]".to_owned(),
            "{}".to_owned(),
            "1e400".to_owned(),
        ] {
            let draft = forge.draft(kind).with(name, &value);
            cases.push(Case::token(format!("{name} {value}"), path, &draft.sign()));
            let draft = draft.with("exp", past);
            cases.push(Case::token(format!("{name} {value}, expired"), path, &draft.sign()));
        }
        let quoted = forge.draft(kind).with(name, format!("\"{past}\""));
        for (what, draft) in [("in quotes", quoted.clone()), ("in quotes, expired", quoted.with("exp", past))]
        {
            let case = Case::token(format!("{name} {what}"), path, &draft.sign());
            cases.push(case.ours_refuses(NOT_ON_THE_PAGE, "Token is invalid"));
        }
    }
    cases.push(Case::token("no iat", path, &forge.draft(kind).without("iat").sign()));
    cases
}

fn claims(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let mut drafts: Vec<(String, Draft)> = Vec::new();
    for name in ["exp", "token_type", "user_id"] {
        drafts.push((format!("no {name}"), forge.draft(kind).without(name)));
    }
    for value in ["7", "null", "true", "[]", "{}", "1.5", "\" \"", "\"ü\""] {
        drafts.push((format!("jti {value}"), forge.draft(kind).with("jti", value)));
    }
    let long = |length| format!("\"{}\"", "j".repeat(length));
    drafts.push(("a jti of 255 characters".to_owned(), forge.draft(kind).with("jti", long(255))));
    for value in [
        "\"access\"",
        "\"refresh\"",
        "\"sliding\"",
        "\"untyped\"",
        "\"\"",
        "\"Access\"",
        "\"Refresh\"",
        "7",
        "null",
        "true",
        "[]",
        "[\"refresh\"]",
        "{}",
    ] {
        drafts.push((format!("token_type {value}"), forge.draft(kind).with("token_type", value)));
    }
    for (name, value) in [
        ("sub", "\"a\""),
        ("sub", "7"),
        ("sub", "null"),
        ("sub", "[]"),
        ("aud", "\"elsewhere\""),
        ("aud", "7"),
        ("aud", "[\"a\",7]"),
        ("iss", "\"elsewhere\""),
        ("other", "{\"a\":[1,null,\"ü\"]}"),
        ("hash_password", "\"0\""),
        ("refresh_exp", "1"),
        ("id", "5"),
        ("exp ", "1"),
    ] {
        drafts.push((format!("{name} {value}"), forge.draft(kind).with(name, value)));
    }
    let draft = forge.draft(kind);
    let (now, user) = (forge.now, forge.user_id);
    let twice = format!(
        r#"{{"exp":1,"exp":{},"token_type":"x","token_type":"{kind}","jti":"twice {path}","user_id":"{user}"}}"#,
        now + 600
    );
    let mut cases: Vec<Case> =
        drafts.into_iter().map(|(what, draft)| Case::token(what, path, &draft.sign())).collect();
    cases.push(Case::token("each claim twice, the last counts", path, &draft.sign_payload(twice)));
    let no_id = Case::token("no jti", path, &forge.draft(kind).without("jti").sign());
    cases.push(no_id.ours_refuses_looking_up("6, no jti", "Token has no id"));
    for (value, why) in [
        ("\"a\\u0000b\"", "6, a jti with NUL"),
        (&long(256), "6, a jti of more than 255 characters"),
        ("\"\"", NOT_ON_THE_PAGE),
    ] {
        let case = Case::token("an odd jti", path, &forge.draft(kind).with("jti", value).sign());
        cases.push(case.ours_refuses_looking_up(why, "Token is invalid"));
    }
    for value in ["7", "[]", "null"] {
        let case = Case::token(format!("iss {value}"), path, &forge.draft(kind).with("iss", value).sign());
        cases.push(
            case.ours_refuses_looking_up("6, odd content of a rightly signed token", "Token is invalid"),
        );
    }
    cases
}

fn users(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let id = forge.user_id;
    let mut case = |value: &str| {
        let token = forge.draft(kind).with("user_id", value).sign();
        Case::token(format!("user_id {value}"), path, &token)
    };
    let mut cases: Vec<Case> = [id.to_string(), format!("\"{id}\""), format!("\"0{id}\""), "null".to_owned()]
        .iter()
        .map(|value| case(value))
        .collect();
    // Whole numbers of nobody: he may have been deleted.
    for value in ["999999", "\"999999\"", "9223372036854775807"] {
        let case = case(value);
        let no_account = r#"{"detail":"No active account found for the given token."}"#;
        let refreshed = path == "/api/token/refresh/";
        cases.push(if refreshed { case.ours("6, deleted user", 401, no_account) } else { case });
    }
    for value in ["-1", "\"-1\"", "\"0\"", "9223372036854775808", "\"9223372036854775808\""] {
        cases.push(case(value).ours_refuses_looking_up(NOT_ON_THE_PAGE, "Token is invalid"));
    }
    let odd = [
        "\"abc\"",
        "\"\"",
        "0",
        "false",
        "true",
        "[]",
        "{}",
        "[1]",
        "{\"id\":1}",
        &format!("{id}.9"),
        &format!("{id}.0"),
        &format!("\" {id} \""),
        &format!("\"+{id}\""),
        "\"1_0\"",
        "\"\\u0661\"",
        "1e400",
        "\"froggly\"",
        "\"a\\u0000\"",
    ];
    cases.extend(odd.map(|value| odd_user(case(value))));
    cases
}

/// By section 6 a user id of the wrong kind is refused where a user is looked up. Django sometimes finds a number in it.
fn odd_user(case: Case) -> Case {
    let why = "6, a user id of the wrong kind";
    match case.path.as_str() {
        "/api/token/verify/" => case,
        "/api/tasks/" => case.ours_anyway(why, 401, r#"{"detail":"User not found","code":"user_not_found"}"#),
        _ => case.ours_anyway(why, 401, refused("Token is invalid")),
    }
}

/// Two things wrong at once: which one is told?
fn orders(forge: &mut Forge, path: &str, kind: &str) -> Vec<Case> {
    let past = forge.now - 600;
    let future = forge.now + 3_000;
    let other = "another key of at least thirty-two bytes";
    let drafts: Vec<(&str, Draft)> = vec![
        ("expired, another key", forge.draft(kind).with("exp", past).key(other)),
        ("expired, issued in the future", forge.draft(kind).with("exp", past).with("iat", future)),
        ("expired, not yet valid", forge.draft(kind).with("exp", past).with("nbf", future)),
        ("expired, sub no text", forge.draft(kind).with("exp", past).with("sub", 7)),
        ("expired, jti no text", forge.draft(kind).with("exp", past).with("jti", 7)),
        ("expired, no jti", forge.draft(kind).with("exp", past).without("jti")),
        ("expired, wrong type", forge.draft(kind).with("exp", past).with("token_type", "\"x\"")),
        ("expired, no user", forge.draft(kind).with("exp", past).without("user_id")),
        ("no exp, sub no text", forge.draft(kind).without("exp").with("sub", 7)),
        ("no exp, wrong type", forge.draft(kind).without("exp").with("token_type", "\"x\"")),
        ("no exp, no type", forge.draft(kind).without("exp").without("token_type")),
        ("no exp, no user", forge.draft(kind).without("exp").without("user_id")),
        ("wrong type, no user", forge.draft(kind).with("token_type", "\"x\"").without("user_id")),
        ("wrong type, unknown user", forge.draft(kind).with("token_type", "\"x\"").with("user_id", 999_999)),
        ("no type, unknown user", forge.draft(kind).without("token_type").with("user_id", 999_999)),
        ("exp in words, issued in the future", forge.draft(kind).with("exp", "\"x\"").with("iat", future)),
        ("exp in words, wrong type", forge.draft(kind).with("exp", "\"x\"").with("token_type", "\"x\"")),
    ];
    let mut cases: Vec<Case> =
        drafts.into_iter().map(|(what, draft)| Case::token(what, path, &draft.sign())).collect();
    // SimpleJWT breaks down over these where it looks the jti up.
    for (what, draft, text) in [
        ("no exp and no jti", forge.draft(kind).without("exp").without("jti"), "Token has no 'exp' claim"),
        (
            "no jti, wrong type",
            forge.draft(kind).without("jti").with("token_type", "\"x\""),
            "Token has no id",
        ),
        (
            "no jti, unknown user",
            forge.draft(kind).without("jti").with("user_id", 999_999),
            "Token has no id",
        ),
        (
            "nothing but exp",
            forge.draft(kind).without("jti").without("token_type").without("user_id"),
            "Token has no id",
        ),
    ] {
        let case = Case::token(what, path, &draft.sign());
        cases.push(case.ours_refuses_looking_up("6, no jti", text));
    }
    cases
}

/// What a refresh token hands on to its access token, to the digit.
fn copied(forge: &mut Forge) -> Vec<Case> {
    [
        ("a", "1"),
        ("a", "1.0"),
        ("a", "123456789012345678901234567890"),
        ("a", "0.1"),
        ("a", "true"),
        ("a", "null"),
        ("a", "\"ü\""),
        ("a", "[1,[2,{\"b\":[]}]]"),
        ("", "\"no name\""),
        ("ü", "1"),
        ("sub", "\"a\""),
        ("aud", "[\"a\",\"b\"]"),
        ("iss", "\"a\""),
        ("nbf", "5"),
        ("nbf", "5.5"),
        ("hash_password", "\"ABC\""),
        ("refresh_exp", "5"),
        ("id", "\"x\""),
        ("is_staff", "true"),
    ]
    .into_iter()
    .map(|(name, value)| {
        let token = forge.draft("refresh").with(name, value).sign();
        Case::token(format!("{name} {value} is handed on"), "/api/token/refresh/", &token)
    })
    .collect()
}
