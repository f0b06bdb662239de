//! Attacks on tokens, at every place that takes one: always 401 in the contract's words, and nothing is changed.

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use pem::Pem;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::api::{Answer, send};

use crate::harness::{Api, SIGNING_KEY, refused, refused_access, signed, signed_with, tasks_with};
use crate::policies::wait_for_a_waiter;

/// The open routes that take a token, and the field that holds it.
pub(crate) const OPEN: [(&str, &str); 5] = [
    ("/api/token/refresh/", "refresh"),
    ("/api/token/verify/", "token"),
    ("/api/token/blacklist/", "refresh"),
    ("/api/token/sliding/refresh/", "token"),
    ("/api/logout/", "refresh"),
];
pub(crate) const PROTECTED: [&str; 2] = ["/api/tasks/", "/api/sessions/"];
const INVALID: &str = "Token is invalid";
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const BASE64URL_CHARACTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Everything that is in the tables a token could change.
async fn kept(api: &Api) -> String {
    let tables = "SELECT md5(string_agg(whole, E'\n' ORDER BY whole)) FROM (
        SELECT users::text FROM users UNION ALL SELECT user_sessions::text FROM user_sessions
        UNION ALL SELECT outstanding_tokens::text FROM outstanding_tokens
        UNION ALL SELECT blacklisted_tokens::text FROM blacklisted_tokens UNION ALL SELECT outbox::text FROM outbox
    ) AS everything (whole)";
    sqlx::query_scalar(tables).fetch_one(api.database.pool()).await.unwrap()
}

/// Shows the token at every place: each says `text`.
async fn assert_refused(api: &Api, token: &str, text: &str, case: &str) {
    for (path, field) in OPEN {
        let answer = api.client.post(path, &json!({ field: token })).await;
        assert_eq!((answer.status, &answer.body), (401, &refused(text)), "{path}: {case}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#, "{path}: {case}");
    }
    for path in PROTECTED {
        let answer = send(api.client.request(Method::GET, path).bearer_auth(token)).await;
        assert_eq!((answer.status, &answer.body), (401, &refused_access(text)), "{path}: {case}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#, "{path}: {case}");
    }
}

/// Claims of a token that would be good for froggly anywhere that asks for `kind`.
fn good_claims(api: &Api, kind: &str) -> String {
    let later = api.now().timestamp() + 600;
    format!(r#"{{"token_type":"{kind}","exp":{later},"refresh_exp":{later},"jti":"forged","user_id":"1"}}"#)
}

fn forged(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(claims));
    format!("{message}.{}", crypto::sign(message.as_bytes(), key, algorithm).unwrap())
}

/// A key pair as an attacker sees it: the private half for him only when it is his own.
struct Pair {
    private: String,
    der: Vec<u8>,
    raw: Vec<u8>,
}

fn pair(algorithm: &str) -> Pair {
    let (private, der, raw) = match algorithm {
        "RS256" => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
            let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
            let public = pair.public_key();
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap();
            (private, der.as_ref().to_vec(), public.as_ref().to_vec())
        }
        "ES256" => {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let private = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
            let public = pair.public_key();
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap();
            (private, der.as_ref().to_vec(), public.as_ref().to_vec())
        }
        _ => {
            let pair = Ed25519KeyPair::generate().unwrap();
            let private = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
            let public = pair.public_key();
            let der = AsDer::<PublicKeyX509Der<'_>>::as_der(public).unwrap();
            (private, der.as_ref().to_vec(), public.as_ref().to_vec())
        }
    };
    Pair { private: pem::encode(&Pem::new("PRIVATE KEY", private)), der, raw }
}

fn signing_key(algorithm: &str, pair: &Pair) -> (EncodingKey, Algorithm) {
    let pem = pair.private.as_bytes();
    match algorithm {
        "RS256" => (EncodingKey::from_rsa_pem(pem).unwrap(), Algorithm::RS256),
        "ES256" => (EncodingKey::from_ec_pem(pem).unwrap(), Algorithm::ES256),
        _ => (EncodingKey::from_ed_pem(pem).unwrap(), Algorithm::EdDSA),
    }
}

#[tokio::test]
async fn no_spelling_of_no_algorithm_opens_anything() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let before = kept(&api).await;
    for kind in ["refresh", "access", "sliding"] {
        for algorithm in [
            "none", "None", "NONE", "nOnE", "none ", "", "hs256", "HS256 ", "HS384", "RS256", "ES256",
            "EdDSA",
        ] {
            let claims = good_claims(&api, kind);
            let right = signed_with(&format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#), &claims, SIGNING_KEY);
            let (message, signature) = right.rsplit_once('.').unwrap();
            for signature in ["", signature, "AA"] {
                assert_refused(&api, &format!("{message}.{signature}"), INVALID, algorithm).await;
            }
        }
    }
    for header in [
        "{}",
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":{}}"#,
        r#"{"alg":256}"#,
    ] {
        let token = signed_with(header, &good_claims(&api, "refresh"), SIGNING_KEY);
        assert_refused(&api, &token, INVALID, header).await;
    }
    assert_eq!(kept(&api).await, before);
}

#[tokio::test]
async fn a_public_key_is_nobodys_secret_under_any_algorithm() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let pair = pair(algorithm);
        let api = Api::start_with(&[("ALGORITHM", algorithm), ("SIGNING_KEY", &pair.private)]).await;
        let login = api.client.join("froggly").await;
        api.client.tasks(&login).await.expect(200);
        let jwks = api.client.get("/.well-known/jwks.json").await.expect(200).body;
        let jwk = jwks["keys"][0].clone();
        let kid = jwk["kid"].as_str().unwrap();
        let before = kept(&api).await;
        let pem = pem::encode(&Pem::new("PUBLIC KEY", pair.der.clone()));
        let unix = pem.replace("\r\n", "\n");
        let mut secrets = vec![pem.clone(), pem.trim().to_owned(), unix.clone(), unix.trim().to_owned()];
        secrets.extend([jwk.to_string(), jwks.to_string(), kid.to_owned()]);
        secrets.extend(["n", "x", "y"].iter().filter_map(|name| jwk[name].as_str().map(str::to_owned)));
        let mut secrets: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
        secrets.extend([pair.der.clone(), pair.raw.clone(), Vec::new()]);
        for secret in &secrets {
            let key = EncodingKey::from_secret(secret);
            for (named, hmac) in [
                ("HS256", Algorithm::HS256),
                ("HS384", Algorithm::HS384),
                ("HS512", Algorithm::HS512),
                (algorithm, Algorithm::HS256),
            ] {
                for header in
                    [format!(r#"{{"alg":"{named}"}}"#), format!(r#"{{"alg":"{named}","kid":"{kid}"}}"#)]
                {
                    let token = forged(&header, &good_claims(&api, "refresh"), &key, hmac);
                    assert_refused(&api, &token, INVALID, &format!("{algorithm} {header}")).await;
                }
            }
        }
        assert_eq!(kept(&api).await, before, "{algorithm}");
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_or_points_to_is_never_used_nor_asked_for() {
    let sink = TcpListener::bind("127.0.0.1:0").unwrap();
    sink.set_nonblocking(true).unwrap();
    let url = format!("http://{}/keys", sink.local_addr().unwrap());
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let (ours, theirs) = (pair(algorithm), pair(algorithm));
        let api = Api::start_with(&[("ALGORITHM", algorithm), ("SIGNING_KEY", &ours.private)]).await;
        // What a server of the attacker's own would publish.
        let other = Api::start_with(&[("ALGORITHM", algorithm), ("SIGNING_KEY", &theirs.private)]).await;
        api.client.register("froggly").await.expect(201);
        let jwk = async |api: &Api| api.client.get("/.well-known/jwks.json").await.body["keys"][0].clone();
        let (our_jwk, their_jwk) = (jwk(&api).await, jwk(&other).await);
        let certificate = base64::engine::general_purpose::STANDARD.encode(&theirs.der);
        let before = kept(&api).await;
        let (key, library) = signing_key(algorithm, &theirs);
        for members in [
            json!({ "jwk": their_jwk }),
            json!({ "jku": url }),
            json!({ "x5u": url, "x5t": "x" }),
            json!({ "x5c": [certificate] }),
            json!({ "jwk": their_jwk, "kid": our_jwk["kid"] }),
            json!({ "kid": our_jwk["kid"] }),
            json!({ "kid": their_jwk["kid"] }),
            json!({ "kid": "../../../dev/null" }),
            json!({ "kid": "/dev/null" }),
            json!({ "kid": "' UNION SELECT 'x' --" }),
            json!({ "kid": "\u{0}" }),
            json!({ "kid": url }),
            json!({ "kid": "x".repeat(10_000) }),
            json!({ "kid": 7 }),
            json!({ "kid": null }),
            json!({ "kid": [] }),
            json!({ "kid": "" }),
            json!({ "crit": ["x"], "x": 1 }),
            json!({ "crit": [] }),
            json!({ "crit": ["b64"], "b64": false }),
            json!({ "b64": false }),
            json!({ "zip": "DEF" }),
        ] {
            let mut header = members.clone();
            header["alg"] = json!(algorithm);
            let token = forged(&header.to_string(), &good_claims(&api, "refresh"), &key, library);
            assert_refused(&api, &token, INVALID, &format!("{algorithm} {:.80}", members.to_string())).await;
        }
        assert_eq!(kept(&api).await, before, "{algorithm}");
    }
    // Rightly signed, what may be ignored is ignored, and what must be understood is refused.
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let with = |members: &str| {
        signed_with(&format!(r#"{{"alg":"HS256",{members}}}"#), &good_claims(&api, "access"), SIGNING_KEY)
    };
    for members in [format!(r#""jku":"{url}","x5u":"{url}""#), r#""typ":"x","kid":"a""#.to_owned()] {
        tasks_with(&api.client, &with(&members)).await.expect(200);
    }
    for members in [
        r#""crit":["x"],"x":1"#,
        r#""crit":[]"#,
        r#""crit":["b64"],"b64":true"#,
        r#""b64":false"#,
        r#""kid":null"#,
        r#""kid":7"#,
    ] {
        assert_refused(&api, &with(members), INVALID, members).await;
    }
    assert!(sink.accept().is_err(), "nobody was sent to the attacker's address");
}

#[tokio::test]
async fn times_and_ids_of_the_wrong_kind_are_refused_before_anything_is_looked_up() {
    let api = Api::start().await;
    api.client.register("froggly").await.expect(201);
    let before = kept(&api).await;
    let now = api.now().timestamp();
    let later = now + 600;
    for kind in ["refresh", "access", "sliding"] {
        let with = |members: &str| signed(&format!(r#"{{"token_type":"{kind}","user_id":"1",{members}}}"#));
        for (members, text) in [
            (format!(r#""jti":"a","exp":"{later}""#), INVALID),
            (r#""jti":"a","exp":null"#.to_owned(), INVALID),
            (r#""jti":"a","exp":[]"#.to_owned(), INVALID),
            (r#""jti":"a","exp":1e400"#.to_owned(), INVALID),
            (r#""jti":"a","exp":99999999999999999999"#.to_owned(), INVALID),
            (r#""jti":"a","exp":253402300800"#.to_owned(), INVALID),
            (r#""jti":"a","exp":-1"#.to_owned(), "Token is expired"),
            (r#""jti":"a","exp":-1e300"#.to_owned(), "Token is expired"),
            (r#""jti":"a","exp":true"#.to_owned(), "Token is expired"),
            (format!(r#""jti":"a","exp":{now}"#), "Token is expired"),
            (format!(r#""jti":"a","exp":{now}.999"#), "Token is expired"),
            (format!(r#""jti":"a","exp":{later},"exp":{now}"#), "Token is expired"),
            (r#""jti":"a""#.to_owned(), "Token has no 'exp' claim"),
            (format!(r#""jti":"a","exp":{later},"nbf":{}"#, now + 1), INVALID),
            (format!(r#""jti":"a","exp":{later},"nbf":"{}""#, now + 60), INVALID),
            (format!(r#""jti":"a","exp":{later},"nbf":"1""#), INVALID),
            (format!(r#""jti":"a","exp":{later},"nbf":null"#), INVALID),
            (format!(r#""jti":"a","exp":{later},"iat":{}"#, now + 1), INVALID),
            (format!(r#""jti":"a","exp":{later},"iat":[1]"#), INVALID),
            (format!(r#""jti":"a","exp":{later},"iat":1e999"#), INVALID),
            (format!(r#""jti":7,"exp":{later}"#), INVALID),
            (format!(r#""jti":null,"exp":{later}"#), INVALID),
            (format!(r#""jti":["a"],"exp":{later}"#), INVALID),
            (format!(r#""jti":"a","sub":1,"exp":{later}"#), INVALID),
            (format!(r#""exp":{later}"#), "Token has no id"),
        ] {
            assert_refused(&api, &with(&members), text, &format!("{kind} {members}")).await;
        }
    }
    for payload in ["", "[]", "null", "7", "\"text\"", "{", "{}}", "\u{feff}{}", "{\"exp\":NaN}"] {
        assert_refused(&api, &signed_with(HS256, payload, SIGNING_KEY), INVALID, payload).await;
    }
    let deep = format!(r#"{{"exp":{later},"jti":{}1{}}}"#, "[".repeat(3_000), "]".repeat(3_000));
    assert_refused(&api, &signed(&deep), INVALID, "deep").await;
    assert_eq!(kept(&api).await, before);
}

#[tokio::test]
async fn no_character_of_a_token_can_be_changed() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let before = kept(&api).await;
    let verify = async |token: &str, case: &str| {
        let answer = api.client.verify(token).await;
        assert_eq!((answer.status, &answer.body), (401, &refused(INVALID)), "{case}");
        let answer = tasks_with(&api.client, token).await;
        assert_eq!((answer.status, &answer.body), (401, &refused_access(INVALID)), "{case}");
    };
    for (position, byte) in login.access.bytes().enumerate() {
        let mut changed = login.access.clone().into_bytes();
        // The neighbour differs in one bit or more; of a dot nothing is left.
        let place = BASE64URL_CHARACTERS.iter().position(|character| *character == byte);
        changed[position] = place.map_or(b'_', |place| BASE64URL_CHARACTERS[place ^ 1]);
        verify(&String::from_utf8(changed).unwrap(), &format!("position {position}")).await;
    }
    // The last character says four bits of six: the other spellings of the same bits are refused, too.
    let (head, last) = login.access.split_at(login.access.len() - 1);
    for other in BASE64URL_CHARACTERS.iter().filter(|other| **other != last.as_bytes()[0]) {
        verify(&format!("{head}{}", char::from(*other)), "the last character").await;
    }
    assert_eq!(kept(&api).await, before);
    api.client.tasks(&login).await.expect(200);
}

#[tokio::test]
async fn a_token_has_three_parts_in_one_spelling() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let before = kept(&api).await;
    let parts: Vec<&str> = login.refresh.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    let other_payload = BASE64URL.encode(good_claims(&api, "refresh"));
    let twice =
        String::from_utf8(BASE64URL.decode(payload).unwrap()).unwrap().replacen('{', r#"{"user_id":"2","#, 1);
    for token in [
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{}.", login.refresh),
        format!(".{}", login.refresh),
        format!("{}.{signature}", login.refresh),
        format!("{header}.{payload}.{payload}.{signature}.{signature}"),
        format!("{header}.{other_payload}.{signature}"),
        format!("{header}.{}.{signature}", BASE64URL.encode(twice)),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{signature}=="),
        format!("{header}.{payload}.{signature}==="),
        format!("{header}.{payload}.{signature}A"),
        format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")) + "+",
        format!("{header}.{payload}.{}", &signature[..signature.len() - 1]),
        format!("{payload}.{header}.{signature}"),
        login.refresh.to_uppercase(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{}..", "A".repeat(20_000)),
    ] {
        assert_refused(&api, &token, INVALID, &format!("{token:.60}")).await;
    }
    // In a body white space within is part of the token; around it is cut, as of every field.
    for token in [format!("{header} .{payload}.{signature}"), format!("{header}.{payload}\n.{signature}")] {
        for (path, field) in OPEN {
            let answer = api.client.post(path, &json!({ field: token })).await.expect(401);
            assert_eq!(answer.body, refused(INVALID), "{path}");
        }
    }
    assert_eq!(kept(&api).await, before);
    api.client.verify(&format!(" {}\n", login.refresh)).await.expect(200);
}

#[tokio::test]
async fn a_header_without_our_scheme_is_no_token_and_a_crooked_one_is_told_so() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let ask = async |headers: &[String]| {
        let request = api.client.request(Method::GET, "/api/tasks/");
        send(headers.iter().fold(request, |request, value| request.header("authorization", value))).await
    };
    let token = &login.access;
    let missing = json!({ "detail": "Authentication credentials were not provided." });
    let crooked = json!({
        "detail": "Authorization header must contain two space-delimited values",
        "code": "bad_authorization_header",
    });
    for (headers, body) in [
        (vec![], &missing),
        (vec![String::new()], &missing),
        (vec![token.clone()], &missing),
        (vec![format!("bearer {token}")], &missing),
        (vec![format!("Basic {token}")], &missing),
        (vec!["Bearer".to_owned()], &crooked),
        (vec![format!("Bearer {token} x")], &crooked),
        (vec![format!("Bearer {token}"), format!("Bearer {token}")], &crooked),
        (vec!["Bearer \u{e9}\u{fffd}".to_owned()], &refused_access(INVALID)),
    ] {
        let answer = ask(&headers).await.expect(401);
        assert_eq!(&answer.body, body, "{headers:?}");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="api""#, "{headers:?}");
    }
    ask(&[format!("Bearer \t {token}")]).await.expect(200);
}

/// A protected route with a token, from an address of this machine.
async fn ask_from(api: &Api, address: Ipv4Addr, token: &str) -> Answer {
    let url = api.client.request(Method::GET, "/api/tasks/").build().unwrap().url().clone();
    let client = reqwest::Client::builder().local_address(IpAddr::from(address)).build().unwrap();
    send(client.get(url).bearer_auth(token)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_tokens_are_counted_exactly_and_told_once_for_each_address() {
    let api = Api::start().await;
    let login = api.client.join("froggly").await;
    let tell = async || api.state.forged_tokens.tell(api.database.pool(), &api.state.outbox).await;
    tell().await.unwrap();
    api.forget_events().await;
    tell().await.unwrap();
    assert_eq!(api.events().await, vec![], "nothing is told of nothing");
    let here = Ipv4Addr::LOCALHOST;
    for _ in 0..3 {
        ask_from(&api, Ipv4Addr::new(127, 0, 0, 2), "a.b.c").await.expect(401);
    }
    let first_at = api.now();
    let tries = (0..40).map(|_| {
        let (client, token) = (api.client.clone(), format!("{}x", login.access));
        tokio::spawn(async move { tasks_with(&client, &token).await.status })
    });
    for attempt in tries.collect::<Vec<_>>() {
        assert_eq!(attempt.await.unwrap(), 401);
    }
    api.advance(9);
    ask_from(&api, here, "a.b.c").await.expect(401);
    // Good, expired, of another kind, and none at all: nobody forged these.
    api.client.tasks(&login).await.expect(200);
    tasks_with(&api.client, &login.refresh).await.expect(401);
    tasks_with(&api.client, &signed(r#"{"exp":1,"jti":"a","token_type":"access","user_id":1}"#))
        .await
        .expect(401);
    api.client.get("/api/tasks/").await.expect(401);
    assert_eq!(api.events().await, vec![], "each alone is no event");

    // What can't be told now is told later, and all of it.
    let mut renaming = api.database.pool().begin().await.unwrap();
    sqlx::query("ALTER TABLE outbox RENAME TO away").execute(&mut *renaming).await.unwrap();
    let state = api.state.clone();
    let telling = tokio::spawn(async move { state.forged_tokens.tell(&state.database, &state.outbox).await });
    wait_for_a_waiter(api.database.pool()).await;
    ask_from(&api, here, "a.b.c").await.expect(401);
    renaming.commit().await.unwrap();
    telling.await.unwrap().unwrap_err();
    api.execute("ALTER TABLE away RENAME TO outbox").await;
    ask_from(&api, here, "a.b.c").await.expect(401);
    tell().await.unwrap();
    let mut events = api.events().await;
    events.sort_by_key(|(_, data)| data["ip"].to_string());
    let told: Vec<_> = events
        .iter()
        .map(|(name, data)| {
            (name.as_str(), data["reason"].clone(), data["ip"].clone(), data["count"].clone())
        })
        .collect();
    let name = "auth.access.denied";
    assert_eq!(
        told,
        [
            (name, json!("forged_token"), json!("127.0.0.1"), json!(43)),
            (name, json!("forged_token"), json!("127.0.0.2"), json!(3)),
        ]
    );
    let (_, data) = &events[0];
    assert_eq!((&data["first_at"], &data["last_at"]), (&json!(first_at), &json!(api.now())));
    assert_eq!(
        (&data["user_id"], &data["username"]),
        (&Value::Null, &Value::Null),
        "who was named is not proven"
    );
    tell().await.unwrap();
    assert_eq!(api.events().await.len(), 2, "told once");
}

#[tokio::test]
async fn after_a_logout_or_a_login_elsewhere_the_old_tokens_are_dead_everywhere_on_every_replica() {
    for by in ["logout", "login"] {
        let api = Api::start().await;
        let other = api.replica(&[]).await;
        let login = api.client.join("froggly").await;
        let second = api.client.refresh(&login.refresh).await.expect(200).text("access").to_owned();
        for client in [&api.client, &other.client] {
            client.tasks(&login).await.expect(200);
        }
        if by == "logout" {
            api.client.log_out(&login).await.expect(200);
        } else {
            api.client.log_in("froggly").await;
        }
        for client in [&api.client, &other.client] {
            for access in [&login.access, &second] {
                for path in PROTECTED {
                    let answer =
                        send(client.request(Method::GET, path).bearer_auth(access)).await.expect(401);
                    assert_eq!(answer.body, refused_access("Token is blacklisted"), "{by} {path}");
                }
                assert_eq!(
                    client.verify(access).await.expect(401).body,
                    refused("Token is blacklisted"),
                    "{by}"
                );
            }
            for (path, field) in OPEN.iter().filter(|(path, _)| !path.contains("sliding")) {
                let answer = client.post(path, &json!({ *field: login.refresh })).await.expect(401);
                assert_eq!(answer.body, refused("Token is blacklisted"), "{by} {path}");
            }
        }
        let active = i64::from(by == "login");
        assert_eq!(api.count("SELECT count(*) FROM user_sessions WHERE is_active").await, active, "{by}");
        let reason = if by == "login" { "replaced" } else { "logout" };
        assert_eq!(api.reasons("auth.session.ended").await, [reason]);
    }
}
