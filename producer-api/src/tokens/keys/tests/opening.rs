//! What is read at the start, and what stops it.

use super::*;
use crate::tokens::keys::KeysError;

fn refusal(config: &KeysConfig) -> String {
    Keys::open(config, clock()).unwrap_err().to_string()
}

#[test]
fn every_form_of_private_key_that_openssl_writes_signs_for_every_algorithm_of_its_family() {
    let rsa = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"];
    for (algorithms, public, thumbprint, forms) in [
        (
            &rsa[..],
            "rsa_public.pem",
            "n1pgRf9wggDSTltzOL8B2VkI-xg89yI7B66ho_8Blj8",
            &["rsa_pkcs8.pem", "rsa_pkcs1.pem"][..],
        ),
        (
            &["ES256"],
            "p256_public.pem",
            "I2Aud_zh2VzETxTn9HZiWBKeXTbLy-7zBhu6hzntD_c",
            &["p256_pkcs8.pem", "p256_sec1.pem", "p256_sec1_with_parameters.pem"],
        ),
        (
            &["ES384"],
            "p384_public.pem",
            "pk91Y74WVnxX_ricOAQ8i3xCig4iPXF6cRnbq8j6dDg",
            &["p384_pkcs8.pem", "p384_sec1.pem", "p384_sec1_with_parameters.pem"],
        ),
        (
            &["EdDSA"],
            "ed25519_public.pem",
            "O86bIYlw2PXJ7L4WyCVWQxlBftKyNJhFWKpE3ywmnoY",
            &["ed25519_pkcs8.pem"],
        ),
    ] {
        for (name, form) in algorithms.iter().flat_map(|name| forms.iter().map(move |form| (*name, *form))) {
            let config =
                KeysConfig { verifying_key: Some(openssl(public)), ..with_key(name, &openssl(form)) };
            let ring = open(&config).ring();
            let token = ring.sign(b"{}").unwrap();
            assert!(accepts(&ring, &token), "{name} {form}");
            let header = header_of(&token);
            // The thumbprints were computed by other means from OpenSSL's public keys.
            assert_eq!(header, serde_json::json!({ "alg": name, "typ": "JWT", "kid": thumbprint }), "{form}");
        }
    }
}

#[test]
fn a_key_may_come_with_its_line_breaks_written_out_as_environment_files_need_it() {
    let key = openssl("p256_pkcs8.pem").replace('\n', "\\n");
    let public = openssl("p256_public.pem").replace('\n', "\\n");
    assert!(accepts(&ring_of("ES256"), &open(&with_key("ES256", &key)).ring().sign(b"{}").unwrap()));
    assert!(
        Keys::open(&KeysConfig { verifying_key: Some(public), ..with_key("ES256", &key) }, clock()).is_ok()
    );
}

#[test]
fn a_public_key_in_pkcs1_belongs_to_its_private_key_too() {
    let public = Some(openssl("rsa_public_pkcs1.pem"));
    assert!(
        Keys::open(
            &KeysConfig { verifying_key: public, ..with_key("RS256", &openssl("rsa_pkcs8.pem")) },
            clock()
        )
        .is_ok()
    );
}

#[test]
fn what_is_no_private_key_for_the_algorithm_is_refused_with_a_word_of_what_it_is() {
    for (name, file, words) in [
        ("RS256", "p256_pkcs8.pem", "RS256 takes an RSA key, and this is an EC key on the curve P-256"),
        ("ES256", "rsa_pkcs1.pem", "ES256 takes an EC key on the curve P-256, and this is an RSA key"),
        ("ES256", "p384_sec1.pem", "this is an EC key on the curve P-384"),
        ("ES384", "p256_sec1_with_parameters.pem", "this is an EC key on the curve P-256"),
        ("EdDSA", "p256_pkcs8.pem", "EdDSA takes an Ed25519 key"),
        ("PS256", "ed25519_pkcs8.pem", "this is an Ed25519 key"),
        ("ES256", "p521_sec1.pem", "can't be read"),
        ("ES256", "secp256k1_sec1.pem", "can't be read"),
        ("RS256", "rsa_1024.pem", "not between 2048 and 8192 bits"),
        ("RS256", "rsa_public.pem", "give the private key"),
        ("RS256", "certificate.pem", "give the private key"),
        ("RS256", "rsa_encrypted.pem", "without a passphrase"),
        ("RS256", "rsa_pkcs1_encrypted.pem", "without a passphrase"),
        ("EdDSA", "openssh.pem", "ssh-keygen"),
    ] {
        let message = refusal(&with_key(name, &openssl(file)));
        assert!(message.starts_with("SIGNING_KEY: ") && message.contains(words), "{name} {file}: {message}");
        assert!(!message.contains('\n'));
    }
    for text in [
        SECRET,
        "",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----",
    ] {
        assert!(refusal(&with_key("RS256", text)).contains("no PEM"), "{text}");
    }
    let empty = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----";
    assert!(refusal(&with_key("RS256", empty)).contains("can't be read"));
}

#[test]
fn a_verifying_key_must_be_the_signing_keys_other_half() {
    let refusal = |public: &str| {
        let config =
            KeysConfig { verifying_key: Some(public.to_owned()), ..with_key("ES256", &new_pem("ES256")) };
        refusal(&config)
    };
    assert!(
        refusal(&openssl("p256_public.pem")).contains("VERIFYING_KEY: this public key does not belong to")
    );
    for other in [openssl("rsa_public.pem"), openssl("p256_pkcs8.pem"), "x".to_owned()] {
        assert!(refusal(&other).contains("VERIFYING_KEY: this is no public key in PEM for ES256"));
    }
    let config = KeysConfig {
        verifying_key: Some(openssl("p384_public.pem")),
        ..with_key("ES384", &new_pem("ES384"))
    };
    assert!(super::opening::refusal(&config).contains("does not belong"));
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_what_to_do_instead() {
    let folder = Folder::new();
    let other = Some(Secret::new("another secret for tests, long enough"));
    for (config, words) in [
        (config("HS256"), "SIGNING_KEY (or SIGNING_KEY_FILE) is not set: take the output"),
        (
            config("RS256"),
            "SIGNING_KEY (or SIGNING_KEY_FILE) is not set: give a private key in PEM for RS256",
        ),
        (with_key("HS256", "too short"), "SIGNING_KEY: 9 bytes are too few"),
        (
            KeysConfig { previous_signing_key: Some(Secret::new("short")), ..with_key("HS256", SECRET) },
            "SIGNING_KEY_PREVIOUS: 5 bytes are too few",
        ),
        (
            KeysConfig { signing_keys_dir: Some(folder.path().to_owned()), ..with_key("HS256", SECRET) },
            "set SIGNING_KEY_PREVIOUS to the old one",
        ),
        (
            KeysConfig { previous_signing_key: other, ..with_key("ES256", &new_pem("ES256")) },
            "SIGNING_KEYS_DIR and `producer-api keys rotate`",
        ),
        (with_folder("ES256", &folder), "make one by `producer-api keys rotate`"),
        (
            KeysConfig { signing_keys_dir: Some(folder.path().join("missing")), ..config("ES256") },
            "can't read the folder",
        ),
        (
            KeysConfig { verifying_key: Some(openssl("p256_public.pem")), ..with_folder("ES256", &folder) },
            "VERIFYING_KEY: it belongs to SIGNING_KEY, which is not set",
        ),
        (
            KeysConfig {
                jwk_url: Some("file:///keys".parse().unwrap()),
                ..with_key("ES256", &new_pem("ES256"))
            },
            "JWK_URL: give an http:// or https:// address",
        ),
    ] {
        let message = refusal(&config);
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_broken_file_in_the_folder_stops_the_start_and_is_named() {
    let folder = Folder::new();
    folder.add("good", clock().now());
    folder.put("bad", "nothing", clock().now());
    let error = Keys::open(&with_folder("ES256", &folder), clock()).unwrap_err();
    assert!(matches!(error, KeysError::Folder(_)));
    assert!(error.to_string().contains("bad.pem: this is no PEM text"), "{error}");
    folder.put("bad", &openssl("rsa_pkcs8.pem"), clock().now());
    assert!(refusal(&with_folder("ES256", &folder)).contains("bad.pem: ES256 takes an EC key"));
}

#[test]
fn a_previous_secret_verifies_and_signs_nothing() {
    let old = open(&with_key("HS384", SECRET)).ring();
    let new = "another secret for tests, long enough";
    let config = KeysConfig { previous_signing_key: Some(Secret::new(SECRET)), ..with_key("HS384", new) };
    let both = open(&config).ring();
    assert!(accepts(&both, &old.sign(b"{}").unwrap()));
    let token = both.sign(b"{}").unwrap();
    assert!(accepts(&both, &token) && !accepts(&old, &token));
    assert!(accepts(&open(&with_key("HS384", new)).ring(), &token));
}

#[test]
fn a_token_signed_by_a_secret_has_simple_jwts_header_and_publishes_nothing() {
    let keys = open(&with_key("HS256", SECRET));
    let token = keys.ring().sign(br#"{"a":1}"#).unwrap();
    assert_eq!(header_of(&token), serde_json::json!({ "alg": "HS256", "typ": "JWT" }));
    assert_eq!(token.split('.').nth(1), Some("eyJhIjoxfQ"));
    assert_eq!(keys.ring().jwks(), serde_json::json!({ "keys": [] }));
}

#[test]
fn the_key_set_has_public_parts_alone() {
    for name in ASYMMETRIC {
        let ring = ring_of(name);
        let set = ring.jwks();
        let [key] = &set["keys"].as_array().unwrap()[..] else { panic!("{set}") };
        let mut members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        let expected: &[&str] = match &name[..2] {
            "RS" | "PS" => &["alg", "e", "kid", "kty", "n", "use"],
            "ES" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            _ => &["alg", "crv", "kid", "kty", "use", "x"],
        };
        assert_eq!(members, expected, "{name}");
        assert_eq!((&key["alg"], &key["use"]), (&name.into(), &"sig".into()));
        assert_eq!(key["kid"], header_of(&ring.sign(b"{}").unwrap())["kid"]);
        // The library's own reader finds the same key in it.
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        let decoding = jsonwebtoken::DecodingKey::from_jwk(&jwk).unwrap();
        let token = ring.sign(b"{}").unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let library = algorithm(name).library();
        assert!(jsonwebtoken::crypto::verify(signature, message.as_bytes(), &decoding, library).unwrap());
    }
}

#[test]
fn new_keys_can_be_read_again_for_every_algorithm() {
    for name in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
        let pem = new_pem(name);
        assert!(
            pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n")
        );
        assert_ne!(pem, new_pem(name));
        assert!(accepts(
            &open(&with_key(name, &pem)).ring(),
            &open(&with_key(name, &pem)).ring().sign(b"{}").unwrap()
        ));
    }
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let pem = openssl("ed25519_pkcs8.pem");
    let config = with_key("EdDSA", &pem);
    let shown =
        format!("{:?} {:?} {config:?}", open(&config), PrivateKey::from_pem(&pem, algorithm("EdDSA")));
    let secret = pem.lines().nth(1).unwrap();
    assert!(!shown.contains(&secret[20..]), "{shown}");
}

#[test]
fn the_settings_are_shown_without_what_is_secret_in_them() {
    let jwk_url = Some("https://user:hidden@keys.example/set?token=hidden".parse().unwrap());
    let config = KeysConfig { jwk_url, ..with_key("HS256", "hidden, and long enough to be a secret") };
    let shown = format!("{config:?}");
    assert!(!shown.contains("hidden") && shown.contains("keys.example"), "{shown}");
}
