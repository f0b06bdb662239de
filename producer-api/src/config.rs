//! The API's settings.

use std::time::Duration;

use shared::config::{BrokerConfig, ConfigError, DatabaseConfig, ProcessConfig, Reader, Secret, Setting};

/// The program's name.
pub const PROGRAM: &str = "producer-api";
/// Where it listens unless told otherwise.
const DEFAULT_PORT: u16 = 8000;
/// HMAC secrets below this length can be guessed offline from one token.
const SIGNING_KEY_BYTES_MIN: usize = 32;

const SIGNING_KEY: Setting = Setting::secret(
    "SIGNING_KEY",
    "The secret that signs tokens (HS256), at least 32 bytes. Without it `JWT_SECRET_KEY` counts, else `SECRET_KEY`.",
);
const JWT_SECRET_KEY: Setting = Setting::secret("JWT_SECRET_KEY", "Counts where `SIGNING_KEY` is not set.");
const SECRET_KEY: Setting =
    Setting::secret("SECRET_KEY", "Django's name; counts where neither of the two above is set.");
const ACCESS_TOKEN_LIFETIME: Setting = Setting::new(
    "ACCESS_TOKEN_LIFETIME",
    "5m",
    "How long an access token is good: seconds, `5m`, `1d` or `PT5M`.",
);
const REFRESH_TOKEN_LIFETIME: Setting =
    Setting::new("REFRESH_TOKEN_LIFETIME", "1d", "How long a refresh token is good.");
const HASHING_PERMITS: Setting = Setting::optional(
    "HASHING_PERMITS",
    "How many passwords are hashed at once, 19 MiB of memory each; as many as the machine has cores if not set.",
);
const HASHING_QUEUE: Setting = Setting::new(
    "HASHING_QUEUE",
    "512",
    "How many requests may wait for a permit; those beyond are answered 503 with `Retry-After` at once.",
);
const REQUEST_BODY_MAX: Setting = Setting::new(
    "REQUEST_BODY_MAX",
    "2621440",
    "The largest request body in bytes, at least 65536; beyond it 413.",
);
const OPERATOR_PASSWORD: Setting = Setting::secret(
    "OPERATOR_PASSWORD",
    "Password of the database role `warren_operator`; read by `database create-roles` alone. Without it the role \
     can't log in.",
);
const SUPERUSER_PASSWORD: Setting =
    Setting::secret("SUPERUSER_PASSWORD", "Password of the account that `users create-superuser` makes.");

/// The settings of this program, beside those of `shared`.
pub const SETTINGS: &[&Setting] = &[
    &SIGNING_KEY,
    &JWT_SECRET_KEY,
    &SECRET_KEY,
    &ACCESS_TOKEN_LIFETIME,
    &REFRESH_TOKEN_LIFETIME,
    &HASHING_PERMITS,
    &HASHING_QUEUE,
    &REQUEST_BODY_MAX,
    &OPERATOR_PASSWORD,
    &SUPERUSER_PASSWORD,
];

/// SimpleJWT settings that change what a server does, with the only value this version can do. Whoever sets another
/// must not believe that it holds.
const FIXED: &[(&str, &str)] = &[
    ("ALGORITHM", "HS256"),
    ("ROTATE_REFRESH_TOKENS", "false"),
    ("BLACKLIST_AFTER_ROTATION", "false"),
    ("CHECK_REVOKE_TOKEN", "false"),
    ("CHECK_USER_IS_ACTIVE", "true"),
    ("UPDATE_LAST_LOGIN", "false"),
    ("LEEWAY", "0"),
    ("AUTH_HEADER_TYPES", "Bearer"),
    ("AUTH_HEADER_NAME", "HTTP_AUTHORIZATION"),
    ("USER_ID_FIELD", "id"),
    ("USER_ID_CLAIM", "user_id"),
    ("TOKEN_TYPE_CLAIM", "token_type"),
    ("JTI_CLAIM", "jti"),
    ("SESSION_POLICY", "replace"),
    ("ACCESS_TOKEN_REVOCATION", "session"),
    ("SIMPLE_JWT_JSON", "{}"),
    ("VERIFYING_KEY", ""),
    ("AUDIENCE", ""),
    ("ISSUER", ""),
    ("JWK_URL", ""),
];

/// The settings of `serve`.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// The process.
    pub process: ProcessConfig,
    /// PostgreSQL.
    pub database: DatabaseConfig,
    /// RabbitMQ.
    pub broker: BrokerConfig,
    /// Tokens.
    pub tokens: TokensConfig,
    /// Password hashing.
    pub hashing: HashingConfig,
    /// The largest request body, in bytes.
    pub request_body_max: usize,
}

/// How tokens are made.
#[derive(Debug, Clone)]
pub struct TokensConfig {
    /// The HMAC secret.
    pub signing_key: Secret,
    /// How long an access token is good.
    pub access_lifetime: Duration,
    /// How long a refresh token is good.
    pub refresh_lifetime: Duration,
}

/// How passwords are hashed.
#[derive(Debug, Clone)]
pub struct HashingConfig {
    /// How many at once.
    pub permits: usize,
    /// How many may wait.
    pub queue: usize,
}

impl ServeConfig {
    /// Reads all of it, or says everything that is wrong.
    pub fn read(mut reader: Reader) -> Result<Self, ConfigError> {
        let config = Self {
            process: read_process(&mut reader),
            database: DatabaseConfig::read(&mut reader),
            broker: BrokerConfig::read(&mut reader),
            tokens: TokensConfig::read(&mut reader),
            hashing: HashingConfig::read(&mut reader),
            request_body_max: reader.at_least(&REQUEST_BODY_MAX, 65_536),
        };
        refuse_what_is_fixed(&mut reader);
        reader.finish(config)
    }
}

fn refuse_what_is_fixed(reader: &mut Reader) {
    for (name, value) in FIXED {
        let given = reader.value(&Setting::optional(name, ""));
        if given.is_some_and(|given| !given.trim().eq_ignore_ascii_case(value)) {
            let only =
                if value.is_empty() { "remove it".to_owned() } else { format!("it can only be {value}") };
            reader.problem(format!("{name}: this version has no such choice yet; {only}"));
        }
    }
}

/// The process section, for commands that need no more.
pub fn read_process(reader: &mut Reader) -> ProcessConfig {
    ProcessConfig::read(reader, PROGRAM, DEFAULT_PORT)
}

/// The operators' password, if given.
pub fn read_operator_password(reader: &mut Reader) -> Option<Secret> {
    reader.optional_secret(&OPERATOR_PASSWORD)
}

/// The password of the account to be made.
pub fn read_superuser_password(reader: &mut Reader) -> Secret {
    Secret::new(reader.required(&SUPERUSER_PASSWORD))
}

impl TokensConfig {
    fn read(reader: &mut Reader) -> Self {
        let signing_key = reader
            .optional_secret(&SIGNING_KEY)
            .or_else(|| reader.optional_secret(&JWT_SECRET_KEY))
            .or_else(|| reader.optional_secret(&SECRET_KEY))
            .unwrap_or_else(|| Secret::new(reader.required(&SIGNING_KEY)));
        let bytes = signing_key.expose().len();
        if (1..SIGNING_KEY_BYTES_MIN).contains(&bytes) {
            reader.problem(format!(
                "SIGNING_KEY: {bytes} bytes are too few; give at least {SIGNING_KEY_BYTES_MIN}, such as the output \
                 of `openssl rand -hex 32`"
            ));
        }
        Self {
            signing_key,
            access_lifetime: reader.duration(&ACCESS_TOKEN_LIFETIME),
            refresh_lifetime: reader.duration(&REFRESH_TOKEN_LIFETIME),
        }
    }
}

impl HashingConfig {
    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let permits = match reader.optional(&HASHING_PERMITS) {
            None => cores,
            Some(_) => reader.at_least(&HASHING_PERMITS, 1),
        };
        Self { permits, queue: reader.at_least(&HASHING_QUEUE, 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<ServeConfig, String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ServeConfig::read(Reader::from_values(values)).map_err(|error| error.to_string())
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://localhost/warren");

    #[test]
    fn everything_wrong_is_said_at_once() {
        let message =
            read(&[("SECRET_KEY", "short"), ("ACCESS_TOKEN_LIFETIME", "0"), ("HASHING_QUEUE", "none")]);
        let message = message.unwrap_err();
        for part in ["DATABASE_URL", "5 bytes are too few", "ACCESS_TOKEN_LIFETIME", "HASHING_QUEUE"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn the_key_comes_from_the_first_of_its_three_names() {
        let other = "another key of at least 32 bytes!!";
        let config = read(&[DATABASE, ("SECRET_KEY", KEY), ("JWT_SECRET_KEY", other)]).unwrap();
        assert_eq!(config.tokens.signing_key.expose(), other);
        assert_eq!(config.tokens.access_lifetime, Duration::from_mins(5));
    }

    #[test]
    fn a_choice_that_this_version_does_not_have_stops_the_start() {
        let with = |name, value| read(&[DATABASE, ("SECRET_KEY", KEY), (name, value)]);
        assert!(with("ALGORITHM", "HS256").is_ok());
        assert!(with("ROTATE_REFRESH_TOKENS", "False").is_ok());
        for (name, value) in [("ALGORITHM", "RS256"), ("ROTATE_REFRESH_TOKENS", "true"), ("AUDIENCE", "x")] {
            assert!(with(name, value).unwrap_err().contains(name), "{name}");
        }
    }
}
