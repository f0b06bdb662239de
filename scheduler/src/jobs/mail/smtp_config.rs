//! The mail server, and how to reach it.

use std::time::Duration;

use lettre::transport::smtp::client::Certificate;
use shared::config::{Reader, Secret, Setting};
use shared::contracts::mail::SEND_MAIL_TIMEOUT;

const EMAIL_HOST: Setting = Setting::new("EMAIL_HOST", "localhost", "The mail server.");
const EMAIL_PORT: Setting = Setting::new("EMAIL_PORT", "25", "Its port.");
const EMAIL_HOST_USER: Setting =
    Setting::secret("EMAIL_HOST_USER", "Who logs in at the mail server; nobody does if it is not set.");
const EMAIL_USER: Setting = Setting::secret("EMAIL_USER", "Another name of `EMAIL_HOST_USER`.");
const EMAIL_HOST_PASSWORD: Setting =
    Setting::secret("EMAIL_HOST_PASSWORD", "The password of `EMAIL_HOST_USER`.");
const EMAIL_PASS: Setting = Setting::secret("EMAIL_PASS", "Another name of `EMAIL_HOST_PASSWORD`.");
const EMAIL_USE_TLS: Setting = Setting::new(
    "EMAIL_USE_TLS",
    "false",
    "Whether the connection must be encrypted by STARTTLS; nothing is sent to a server that doesn't offer it.",
);
const EMAIL_USE_SSL: Setting =
    Setting::new("EMAIL_USE_SSL", "false", "Whether the connection is encrypted from its first byte.");
const EMAIL_SSL_CAFILE: Setting = Setting::optional(
    "EMAIL_SSL_CAFILE",
    "A PEM file of certificates that may vouch for the mail server, beside the system's.",
);
const EMAIL_TIMEOUT: Setting = Setting::new(
    "EMAIL_TIMEOUT",
    "10s",
    "How long the mail server may take for each step; at most 50s, because an attempt has a minute.",
);

/// The settings of this room.
pub const SETTINGS: &[&Setting] = &[
    &EMAIL_HOST,
    &EMAIL_PORT,
    &EMAIL_HOST_USER,
    &EMAIL_USER,
    &EMAIL_HOST_PASSWORD,
    &EMAIL_PASS,
    &EMAIL_USE_TLS,
    &EMAIL_USE_SSL,
    &EMAIL_SSL_CAFILE,
    &EMAIL_TIMEOUT,
];

/// How much of an attempt's time is left for what comes before and after the server.
const MARGIN: Duration = Duration::from_secs(10);
/// How long an attempt may speak with the server in all.
pub(super) const DIALOGUE_MAX: Duration = SEND_MAIL_TIMEOUT.saturating_sub(MARGIN);

/// A mail server.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User and password, if one has to log in.
    pub login: Option<(Secret, Secret)>,
    /// Whether and how the connection is encrypted.
    pub encryption: Encryption,
    /// Who may vouch for it, beside those the system trusts.
    pub authorities: Vec<Certificate>,
    /// How long it may take for a step.
    pub timeout: Duration,
}

/// Whether and how a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// It is not.
    None,
    /// By STARTTLS, or nothing is sent.
    StartTls,
    /// From the first byte on.
    Implicit,
}

impl SmtpConfig {
    /// Reads the section.
    pub(super) fn read(reader: &mut Reader) -> Self {
        let encryption = match (reader.boolean(&EMAIL_USE_TLS), reader.boolean(&EMAIL_USE_SSL)) {
            (true, true) => {
                reader.problem("EMAIL_USE_TLS and EMAIL_USE_SSL are both true; keep one");
                Encryption::Implicit
            }
            (true, false) => Encryption::StartTls,
            (false, true) => Encryption::Implicit,
            (false, false) => Encryption::None,
        };
        let timeout = reader.duration(&EMAIL_TIMEOUT);
        if timeout > DIALOGUE_MAX {
            reader.problem("EMAIL_TIMEOUT: at most 50s, because an attempt has a minute");
        }
        Self {
            host: reader.required(&EMAIL_HOST),
            port: reader.parsed(&EMAIL_PORT, "a port from 1 to 65535"),
            login: read_login(reader),
            encryption,
            authorities: read_authorities(reader),
            timeout,
        }
    }
}

fn read_login(reader: &mut Reader) -> Option<(Secret, Secret)> {
    let user = either(reader, &EMAIL_HOST_USER, &EMAIL_USER);
    let password = either(reader, &EMAIL_HOST_PASSWORD, &EMAIL_PASS);
    match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        (Some(_), None) => {
            reader.problem("EMAIL_HOST_USER is set without EMAIL_HOST_PASSWORD");
            None
        }
        (None, Some(_)) => {
            reader.problem("EMAIL_HOST_PASSWORD is set without EMAIL_HOST_USER");
            None
        }
    }
}

/// The value of a setting with two names.
fn either(reader: &mut Reader, one: &Setting, other: &Setting) -> Option<Secret> {
    let values = (reader.optional_secret(one), reader.optional_secret(other));
    if let (Some(first), Some(second)) = &values
        && first != second
    {
        reader.problem(format!("{} and {} are both set and differ; keep one", one.name, other.name));
    }
    values.0.or(values.1)
}

fn read_authorities(reader: &mut Reader) -> Vec<Certificate> {
    let Some(path) = reader.optional(&EMAIL_SSL_CAFILE) else { return Vec::new() };
    let read = std::fs::read(&path).map_err(|error| error.to_string());
    match read.and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string())) {
        Ok(certificate) => vec![certificate],
        Err(error) => {
            reader
                .problem(format!("EMAIL_SSL_CAFILE: {path} holds no certificates that can be read: {error}"));
            Vec::new()
        }
    }
}
