//! Who may talk to the API, and how much: pages of other origins, proxies before it, the size of a body.

use std::fmt::Display;
use std::str::FromStr;

use shared::config::{Reader, Setting};

use crate::middleware::{AllowedOrigins, TrustedProxies};

const REQUEST_BODY_MAX: Setting = Setting::new(
    "REQUEST_BODY_MAX",
    "2621440",
    "The largest request body in bytes, at least 65536; beyond it 413.",
);
const CORS_ALLOWED_ORIGINS: Setting = Setting::optional(
    "CORS_ALLOWED_ORIGINS",
    "The origins whose pages may use the API, such as `https://app.example.com,http://localhost:3000`: scheme, host and \
     port exactly as browsers send them, no wildcard. Pages of no other origin read answers, and requests of theirs that \
     would change something are 403. Without it only our own pages are let in.",
);
const TRUSTED_PROXIES: Setting = Setting::optional(
    "TRUSTED_PROXIES",
    "Addresses and networks of the proxies before the API, such as `10.0.0.0/8,fd00::/8`. Only their `X-Forwarded-For` \
     counts: the client is the rightmost hop that is none of them. Without it the client is whoever connects.",
);
const SECURE_HSTS_SECONDS: Setting = Setting::new(
    "SECURE_HSTS_SECONDS",
    "0",
    "For how long browsers use HTTPS alone once they have been here (`Strict-Transport-Security`). Set 31536000 if every \
     client comes by HTTPS; 0 says nothing.",
);

const PUBLIC_URL: Setting = Setting::new(
    "PUBLIC_URL",
    "http://127.0.0.1:8000",
    "Where users reach the API. If that is `https://…`, the cookie of the page `/real_data` travels by HTTPS alone.",
);

pub(super) const SETTINGS: &[&Setting] =
    &[&REQUEST_BODY_MAX, &CORS_ALLOWED_ORIGINS, &TRUSTED_PROXIES, &SECURE_HSTS_SECONDS, &PUBLIC_URL];

/// Who may talk to the API, and how much.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The largest request body, in bytes.
    pub request_body_max: usize,
    /// Whose pages may use the API.
    pub allowed_origins: AllowedOrigins,
    /// Whose word about a client's address counts.
    pub trusted_proxies: TrustedProxies,
    /// For how long browsers use HTTPS alone; 0: nothing is said.
    pub hsts_seconds: u32,
    /// Where users reach the API.
    pub public_url: String,
}

impl HttpConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        Self {
            request_body_max: reader.at_least(&REQUEST_BODY_MAX, 65_536),
            allowed_origins: list(reader, &CORS_ALLOWED_ORIGINS),
            trusted_proxies: list(reader, &TRUSTED_PROXIES),
            hsts_seconds: reader.at_least(&SECURE_HSTS_SECONDS, 0),
            public_url: public_url(reader),
        }
    }
}

/// The scheme is all that counts here; whether the rest will do for links is the scheduler's to say.
fn public_url(reader: &mut Reader) -> String {
    let text = reader.required(&PUBLIC_URL);
    if !["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
        reader.problem("PUBLIC_URL: must be http://host or https://host");
    }
    text
}

/// A list that says itself what is wrong with an entry; an empty one without the setting.
fn list<T: FromStr<Err: Display> + Default>(reader: &mut Reader, setting: &Setting) -> T {
    let text = reader.optional(setting).unwrap_or_default();
    text.parse().unwrap_or_else(|error| {
        reader.problem(format!("{}: {error}", setting.name));
        T::default()
    })
}
