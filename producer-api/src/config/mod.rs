//! The API's settings.

mod class_paths;
mod hashing;
mod http;
mod keys;
mod limits;
mod realtime;
mod rights;
mod sessions;
mod simple_jwt_json;
mod spellings;
mod tokens;

use shared::clock::Clock;
use shared::config::{BrokerConfig, ConfigError, DatabaseConfig, ProcessConfig, Reader, Secret, Setting};
use shared::telemetry::error_chain;

use crate::tokens::keys::Keys;

pub use hashing::HashingConfig;
pub use http::HttpConfig;
pub use limits::LimitsConfig;
pub use realtime::RealtimeConfig;
pub use rights::{read_amqp_passwords, read_database_passwords, read_management_url};
pub use sessions::{AccessTokenRevocation, RefreshReuse, SessionPolicy, SessionsConfig};
pub use simple_jwt_json::lay_over as lay_simple_jwt_json_over;
pub use tokens::{TokensConfig, UserIdField};

/// The program's name.
pub const PROGRAM: &str = "producer-api";
/// Where it listens unless told otherwise.
const DEFAULT_PORT: u16 = 8000;

const SUPERUSER_PASSWORD: Setting =
    Setting::secret("SUPERUSER_PASSWORD", "Password of the account that `users create-superuser` makes.");
const NEW_PASSWORD: Setting =
    Setting::secret("NEW_PASSWORD", "The password that `users set-password` gives an account.");

const DJANGO_DATABASE_URL: Setting = Setting::secret(
    "DJANGO_DATABASE_URL",
    "The PostgreSQL database of a Django project, from which `users import --from-database` reads.",
);

/// The settings of this program, beside those of `shared`, by section.
pub const SETTINGS: &[&[&Setting]] = &[
    keys::SETTINGS,
    tokens::SETTINGS,
    &[&simple_jwt_json::SIMPLE_JWT_JSON],
    sessions::SETTINGS,
    limits::SETTINGS,
    hashing::SETTINGS,
    http::SETTINGS,
    realtime::SETTINGS,
    rights::SETTINGS,
    &[&SUPERUSER_PASSWORD, &NEW_PASSWORD, &DJANGO_DATABASE_URL],
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
    /// Sessions.
    pub sessions: SessionsConfig,
    /// How often passwords may be guessed.
    pub limits: LimitsConfig,
    /// Password hashing.
    pub hashing: HashingConfig,
    /// Who may talk to the API.
    pub http: HttpConfig,
    /// Live streams.
    pub realtime: RealtimeConfig,
}

impl ServeConfig {
    /// Reads all of it and opens the keys, or says everything that is wrong.
    pub fn read(mut reader: Reader) -> Result<(Self, Keys), ConfigError> {
        let tokens = read_tokens(&mut reader);
        let config = Self {
            process: read_process(&mut reader),
            database: DatabaseConfig::read(&mut reader),
            broker: BrokerConfig::read(&mut reader),
            tokens,
            sessions: SessionsConfig::read(&mut reader),
            limits: LimitsConfig::read(&mut reader),
            hashing: HashingConfig::read(&mut reader),
            http: HttpConfig::read(&mut reader),
            realtime: RealtimeConfig::read(&mut reader),
        };
        let keys = open_keys(&mut reader, &config.tokens);
        Ok((reader.finish(config)?, keys?))
    }
}

/// The process section, for commands that need no more.
pub fn read_process(reader: &mut Reader) -> ProcessConfig {
    ProcessConfig::read(reader, PROGRAM, DEFAULT_PORT)
}

/// SimpleJWT's settings, from the bare names and from `SIMPLE_JWT_JSON`.
pub fn read_tokens(reader: &mut Reader) -> TokensConfig {
    lay_simple_jwt_json_over(reader);
    class_paths::check(reader);
    TokensConfig::read(reader)
}

/// Opens the keys, for programs that sign. What is wrong with them is noted, too, to be said with all the rest; that none
/// is named was noted before.
pub fn open_keys(reader: &mut Reader, tokens: &TokensConfig) -> Result<Keys, ConfigError> {
    let named = tokens.keys.signing_key.is_some() || tokens.keys.signing_keys_dir.is_some();
    Keys::open(&tokens.keys, Clock::system()).map_err(|error| {
        let fault = error_chain(&error);
        if named {
            reader.problem(&fault);
        }
        ConfigError::of(fault)
    })
}

/// The sessions section, for commands that begin or end sessions.
pub fn read_sessions(reader: &mut Reader) -> SessionsConfig {
    SessionsConfig::read(reader)
}

/// The password of the account to be made.
pub fn read_superuser_password(reader: &mut Reader) -> Secret {
    Secret::new(reader.required(&SUPERUSER_PASSWORD))
}

/// The password an account is to have.
pub fn read_new_password(reader: &mut Reader) -> Secret {
    Secret::new(reader.required(&NEW_PASSWORD))
}

/// Where Django's users are: as the command line says, else as the settings do.
pub fn read_django_database_url(reader: &mut Reader, given: Option<Secret>) -> Secret {
    given.unwrap_or_else(|| Secret::new(reader.required(&DJANGO_DATABASE_URL)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tokens::TokenKind;

    fn read(values: &[(&str, &str)]) -> Result<ServeConfig, String> {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let read = ServeConfig::read(Reader::from_values(values));
        read.map(|(config, _)| config).map_err(|error| error.to_string())
    }

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://localhost/warren");

    fn with(name: &str, value: &str) -> Result<ServeConfig, String> {
        read(&[DATABASE, ("SECRET_KEY", KEY), (name, value)])
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let message = read(&[("ACCESS_TOKEN_LIFETIME", "0"), ("HASHING_QUEUE", "none"), ("LEEWAY", "-1")]);
        let message = message.unwrap_err();
        for part in ["DATABASE_URL", "SIGNING_KEY", "ACCESS_TOKEN_LIFETIME", "HASHING_QUEUE", "LEEWAY"] {
            assert!(message.contains(part), "{part} in {message}");
        }
    }

    #[test]
    fn the_key_comes_from_the_first_of_its_three_names() {
        let other = "another key of at least 32 bytes!!";
        let config = read(&[DATABASE, ("SECRET_KEY", KEY), ("JWT_SECRET_KEY", other)]).unwrap();
        assert_eq!(config.tokens.keys.signing_key.unwrap().expose(), other);
        assert_eq!(config.tokens.access_lifetime, Duration::from_mins(5));
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_with_the_rest() {
        let message = read(&[("SECRET_KEY", "short"), ("HASHING_QUEUE", "none")]).unwrap_err();
        assert!(message.contains("5 bytes are too few") && message.contains("HASHING_QUEUE"), "{message}");
        assert!(!message.contains("short"), "{message}");
        let message = with("ALGORITHM", "RS256").unwrap_err();
        assert!(message.contains("SIGNING_KEY"), "{message}");
    }

    #[test]
    fn a_wrong_value_of_a_simple_jwt_setting_stops_the_start_and_names_the_setting() {
        for (name, value) in [
            ("REFRESH_TOKEN_LIFETIME", "40000d"),
            ("LEEWAY", "2h"),
            ("REFRESH_GRACE_SECONDS", "2h"),
            ("LOGIN_FAILURE_FLOOR", "2m"),
            ("REQUIRE_VERIFIED_EMAIL", "perhaps"),
            ("LOGIN_FAILURES_PER_ACCOUNT", "-1"),
            ("LOGIN_FAILURES_PER_ADDRESS", "many"),
            ("LOGIN_FAILURE_WINDOW", "59s"),
            ("LOGIN_FAILURE_WINDOW", "25h"),
            ("LOGIN_DELAY_FIRST", "16m"),
            ("LOGIN_DELAY_MAX", "25h"),
            ("ALGORITHM", "ES512"),
            ("ALGORITHM", "none"),
            ("ROTATE_REFRESH_TOKENS", "perhaps"),
            ("AUDIENCE", "[1]"),
            ("AUTH_HEADER_TYPES", "[]"),
            ("AUTH_HEADER_NAME", "HTTP_A B"),
            ("AUTH_TOKEN_CLASSES", "my.own.Token"),
            ("USER_ID_FIELD", "email"),
            ("USER_ID_CLAIM", "exp"),
            ("JTI_CLAIM", "token_type"),
            ("USER_ID_CLAIM_TYPE", "int"),
            ("TOKEN_OBTAIN_SERIALIZER", "my.own.Serializer"),
            ("SESSION_POLICY", "limit:0"),
            ("ACCESS_TOKEN_REVOCATION", "maybe"),
            ("JWK_URL", "file:///etc/passwd"),
            ("SIMPLE_JWT_JSON", "[]"),
        ] {
            assert!(with(name, value).unwrap_err().contains(name), "{name}");
        }
    }

    #[test]
    fn an_origin_or_a_proxy_that_nobody_could_mean_stops_the_start_and_says_what_to_write() {
        for (name, value, words) in [
            ("CORS_ALLOWED_ORIGINS", "*", "there is no wildcard"),
            ("CORS_ALLOWED_ORIGINS", "https://app.example.com/", "write it as https://app.example.com"),
            ("TRUSTED_PROXIES", "proxy", "is not an address or network"),
            ("TRUSTED_PROXIES", "10.0.0.1,0.0.0.0/0", "name the proxies"),
            ("SECURE_HSTS_SECONDS", "a year", "a whole number"),
        ] {
            let message = with(name, value).unwrap_err();
            assert!(message.contains(&format!("{name}: ")) && message.contains(words), "{message}");
        }
    }

    #[test]
    fn claim_names_under_which_no_token_of_ours_would_be_good_stop_the_start() {
        let read = |values: &[(&str, &str)]| read(&[&[DATABASE, ("SECRET_KEY", KEY)], values].concat());
        for (values, words) in [
            (
                [("USER_ID_CLAIM", "sub"), ("USER_ID_CLAIM_TYPE", "number")],
                r#"USER_ID_CLAIM: the claim "sub" must be a text; choose another, or USER_ID_CLAIM_TYPE=string"#,
            ),
            ([("USER_ID_CLAIM", "jti"), ("JTI_CLAIM", "id")], "USER_ID_CLAIM: the claim \"jti\""),
            ([("REVOKE_TOKEN_CLAIM", "jti"), ("JTI_CLAIM", "id")], "REVOKE_TOKEN_CLAIM: the claim \"jti\""),
            (
                [("SLIDING_TOKEN_REFRESH_EXP_CLAIM", "jti"), ("JTI_CLAIM", "id")],
                "SLIDING_TOKEN_REFRESH_EXP_CLAIM: the claim \"jti\" must be a text",
            ),
            (
                [("SLIDING_TOKEN_REFRESH_EXP_CLAIM", "sub"), ("LEEWAY", "0")],
                "SLIDING_TOKEN_REFRESH_EXP_CLAIM: the claim \"sub\" must be a text",
            ),
        ] {
            let message = read(&values).unwrap_err();
            assert!(message.contains("1 place(s)") && message.contains(words), "{message}");
        }
        assert!(read(&[("USER_ID_CLAIM", "sub")]).is_ok());
        let named =
            [("USER_ID_CLAIM", "sub"), ("USER_ID_CLAIM_TYPE", "number"), ("USER_ID_FIELD", "username")];
        assert!(read(&named).is_ok());
    }

    #[test]
    fn simple_jwts_spellings_are_understood() {
        let types = with("AUTH_HEADER_TYPES", r#"["JWT", "Bearer"]"#).unwrap().tokens.auth_header_types;
        assert_eq!(types, ["JWT", "Bearer"]);
        assert_eq!(with("AUTH_HEADER_TYPES", "JWT, Bearer").unwrap().tokens.auth_header_types, types);
        for name in ["HTTP_X_ACCESS_TOKEN", "X-Access-Token"] {
            assert_eq!(with("AUTH_HEADER_NAME", name).unwrap().tokens.auth_header_name, "x-access-token");
        }
        let classes = "rest_framework_simplejwt.tokens.SlidingToken,AccessToken";
        let classes = with("AUTH_TOKEN_CLASSES", classes).unwrap().tokens.auth_token_classes;
        assert_eq!(classes, [TokenKind::Sliding, TokenKind::Access]);
        assert!(with("TOKEN_USER_CLASS", "rest_framework_simplejwt.models.TokenUser").is_ok());
    }

    #[test]
    fn the_json_goes_before_the_bare_names_and_knows_its_names() {
        let json = r#"{"ACCESS_TOKEN_LIFETIME": 60, "ROTATE_REFRESH_TOKENS": true, "AUDIENCE": ["a", "b"], "ISSUER": null}"#;
        let values =
            [DATABASE, ("SECRET_KEY", KEY), ("ISSUER", "x"), ("LEEWAY", "5"), ("SIMPLE_JWT_JSON", json)];
        let tokens = read(&values).unwrap().tokens;
        assert_eq!(tokens.access_lifetime, Duration::from_mins(1));
        assert!(tokens.rotate_refresh_tokens);
        assert_eq!(tokens.audience.unwrap().claim.get(), r#"["a","b"]"#);
        assert_eq!((tokens.issuer, tokens.leeway), (None, Duration::from_secs(5)));
        for (json, word) in [
            (r#"{"ROTATE_REFRESH_TOKEN": true}"#, "ROTATE_REFRESH_TOKEN is not"),
            (r#"{"SECRET_KEY": "x"}"#, "use SIGNING_KEY"),
            (r#"{"JTI_CLAIM": null}"#, "JTI_CLAIM can't be null"),
            (r#"{"LEEWAY": {}}"#, "LEEWAY"),
        ] {
            assert!(with("SIMPLE_JWT_JSON", json).unwrap_err().contains(word), "{json}");
        }
    }
}
