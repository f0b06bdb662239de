//! Tokens that somebody forged (auth-audit.md, C02 and C03).

use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::json;

use super::*;

fn hmac(secret: &[u8]) -> impl Fn(&[u8]) -> String {
    let key = EncodingKey::from_secret(secret);
    move |message| crypto::sign(message, &key, jsonwebtoken::Algorithm::HS256).unwrap()
}

#[test]
fn a_public_key_is_no_secret() {
    for (name, file) in
        [("RS256", "rsa_public.pem"), ("ES256", "p256_public.pem"), ("EdDSA", "ed25519_public.pem")]
    {
        let ring = ring_of(name);
        let pem = openssl(file);
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(der).unwrap();
        let jwk = ring.jwks()["keys"][0].to_string();
        let kid = kids(&ring).remove(0);
        let raw = &der[der.len() - 32..];
        for secret in [pem.as_bytes(), pem.trim_end().as_bytes(), &der, jwk.as_bytes(), raw] {
            for header in [
                json!({ "alg": "HS256", "typ": "JWT", "kid": kid }),
                json!({ "alg": "HS256", "typ": "JWT" }),
                // Even a header that claims our algorithm: the key alone says how it verifies.
                json!({ "alg": name, "typ": "JWT", "kid": kid }),
                json!({ "alg": name, "typ": "JWT" }),
            ] {
                let forged = token(&header, hmac(secret));
                let (message, signature) = forged.rsplit_once('.').unwrap();
                assert!(!ring.verifies(header["kid"].as_str(), message.as_bytes(), signature), "{header}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_id_is_looked_up_and_nothing_else_is_done_with_it() {
    let folder = Folder::new();
    folder.add("ours", clock().now());
    let keys = open(&with_folder("ES256", &folder));
    let foreign = PrivateKey::from_pem(&new_pem("ES256"), algorithm("ES256")).unwrap();
    let ours = keys.ring().sign(b"{}").unwrap();
    let (message, signature) = ours.rsplit_once('.').unwrap();
    let long = "x".repeat(10_000);
    for kid in [
        "ours",
        "",
        "unknown",
        "ours.pem",
        "../ours",
        "../../../../dev/null",
        "/etc/passwd",
        "ours' OR '1'='1",
        "'; DROP TABLE users; --",
        "ours\0",
        long.as_str(),
    ] {
        let forged = token(&json!({ "alg": "ES256", "kid": kid }), |message| foreign.sign(message).unwrap());
        assert!(!accepts(&*keys.ring_for(&forged).await, &forged), "{kid:.40}");
        // Not even our own signature counts under another id.
        assert_eq!(
            keys.ring().verifies(Some(kid), message.as_bytes(), signature),
            kid == "ours",
            "{kid:.40}"
        );
    }
    assert!(keys.ring().verifies(None, message.as_bytes(), signature), "a token without an id is of any key");
    for header in [json!({ "alg": "ES256", "kid": 7 }), json!({ "alg": "ES256", "kid": null }), json!([])] {
        let forged = token(&header, |message| foreign.sign(message).unwrap());
        assert!(!accepts(&*keys.ring_for(&forged).await, &forged), "{header}");
    }
    for garbage in ["", ".", "..", "x", "x.y", "\u{1f980}.x.y", "e30.e30.e30", "bnVsbA.e30.e30"] {
        assert!(!keys.ring_for(garbage).await.verifies(None, b"", garbage), "{garbage}");
    }
}

#[test]
fn an_hmac_key_id_is_not_looked_at() {
    let ring = ring_of("HS256");
    for kid in [json!("x"), json!("../../dev/null")] {
        assert!(accepts(&ring, &token(&json!({ "alg": "HS256", "kid": kid }), hmac(SECRET.as_bytes()))));
        assert!(!accepts(&ring, &token(&json!({ "alg": "HS256", "kid": kid }), hmac(b""))));
    }
}

#[test]
fn a_signature_of_another_algorithm_of_the_family_does_not_count() {
    let key = PrivateKey::from_pem(&openssl("rsa_pkcs8.pem"), algorithm("RS256")).unwrap();
    let kid = kids(&ring_of("PS256")).remove(0);
    let forged = token(&json!({ "alg": "PS256", "kid": kid }), |message| key.sign(message).unwrap());
    assert!(!accepts(&ring_of("PS256"), &forged));
    assert!(!accepts(&ring_of("RS512"), &forged.replace("PS256", "RS512")));
}

#[test]
fn an_empty_or_strange_signature_does_not_verify() {
    for name in ASYMMETRIC.into_iter().chain(["HS256"]) {
        let ring = ring_of(name);
        for signature in ["", "AA", "!", "\0", &"A".repeat(86), &"A".repeat(342)] {
            assert!(!ring.verifies(None, b"a.b", signature), "{name} {signature}");
        }
    }
}
