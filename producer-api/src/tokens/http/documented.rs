//! What the document says of the key set.

use serde_json::json;

use super::jwks::JWKS;
use crate::openapi::Operation;

/// The operations of the key set.
pub fn operations() -> Vec<Operation> {
    let key = json!({
        "type": "object",
        "required": ["kty", "use", "alg", "kid"],
        "properties": {
            "kty": { "type": "string", "enum": ["RSA", "EC", "OKP"] },
            "use": { "const": "sig" },
            "alg": { "type": "string" },
            "kid": { "type": "string" },
        },
    });
    let set = json!({
        "type": "object",
        "required": ["keys"],
        "properties": { "keys": { "type": "array", "items": key } },
    });
    let shown = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "2026-11-21",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }] });
    vec![
        Operation::new(("Service", &JWKS), "GET", "getKeys", "The keys that verify tokens")
            .describe("The public keys as a JWK set; empty where a secret signs.")
            .gives_body(200, "The key set.", "application/json", (set, Some(shown))),
    ]
}
