//! How mails leave, from whom, and where their links lead.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp::client::Certificate;
use shared::config::{Reader, Secret, Setting};
use shared::contracts::mail::SEND_MAIL_TIMEOUT;
use url::Url;

/// What Django calls its own backends; the last word is ours.
const DJANGO_BACKENDS: [(&str, &str); 3] = [
    ("django.core.mail.backends.smtp.EmailBackend", "smtp"),
    ("django.core.mail.backends.console.EmailBackend", "console"),
    ("django.core.mail.backends.filebased.EmailBackend", "file"),
];

const PUBLIC_URL: Setting = Setting::new(
    "PUBLIC_URL",
    "http://127.0.0.1:8000",
    "Where users reach the API: links in mails begin with it, and with nothing else, whatever a request says.",
);
const EMAIL_BACKEND: Setting = Setting::new(
    "EMAIL_BACKEND",
    "smtp",
    "How mails leave: `smtp`, `console` (printed on standard output, links and all) or `file` (one file each in \
     `EMAIL_FILE_PATH`). Django's own class paths are accepted.",
);
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
const EMAIL_FILE_PATH: Setting =
    Setting::optional("EMAIL_FILE_PATH", "The folder of the backend `file`; made if it is not there.");
const DEFAULT_FROM_EMAIL: Setting = Setting::new(
    "DEFAULT_FROM_EMAIL",
    "webmaster@localhost",
    "From whom mails are: an address, or `Warren <warren@example.org>`.",
);
const PASSWORD_RESET_TIMEOUT: Setting = Setting::new(
    "PASSWORD_RESET_TIMEOUT",
    "5m",
    "How long a link to choose a new password is good, from the attempt to send it on.",
);
const EMAIL_VERIFICATION_TIMEOUT: Setting = Setting::new(
    "EMAIL_VERIFICATION_TIMEOUT",
    "1d",
    "How long a link that proves an address is good, from the attempt to send it on.",
);

/// The settings of this room.
pub const SETTINGS: &[&Setting] = &[
    &PUBLIC_URL,
    &EMAIL_BACKEND,
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
    &EMAIL_FILE_PATH,
    &DEFAULT_FROM_EMAIL,
    &PASSWORD_RESET_TIMEOUT,
    &EMAIL_VERIFICATION_TIMEOUT,
];

/// How much of an attempt's time is left for what comes before and after the server.
const MARGIN: Duration = Duration::from_secs(10);
/// How long an attempt may speak with the server in all.
pub(super) const DIALOGUE_MAX: Duration = SEND_MAIL_TIMEOUT.saturating_sub(MARGIN);

/// What is known of mail.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Where mails go.
    pub backend: Backend,
    /// From whom they are.
    pub from: Mailbox,
    /// What links begin with; no slash at its end.
    pub public_url: String,
    /// How long a link to choose a new password is good.
    pub password_reset_timeout: Duration,
    /// How long a link that proves an address is good.
    pub email_verification_timeout: Duration,
}

/// Where mails go.
#[derive(Debug, Clone)]
pub enum Backend {
    /// To a mail server.
    Smtp(Box<SmtpConfig>),
    /// To standard output.
    Console,
    /// Into a folder.
    File(PathBuf),
}

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

impl MailConfig {
    /// Reads the section; what doesn't fit together is a mistake, also where another backend is chosen.
    pub fn read(reader: &mut Reader) -> Self {
        let smtp = read_smtp(reader);
        let folder = reader.optional(&EMAIL_FILE_PATH);
        Self {
            backend: read_backend(reader, smtp, folder),
            from: read_from(reader),
            public_url: read_public_url(reader),
            password_reset_timeout: reader.duration(&PASSWORD_RESET_TIMEOUT),
            email_verification_timeout: reader.duration(&EMAIL_VERIFICATION_TIMEOUT),
        }
    }
}

impl MailConfig {
    /// What is allowed and hardly meant: mails that leave this machine, with links that lead back to it, whoever reads them.
    pub fn warning(&self) -> Option<String> {
        let Backend::Smtp(server) = &self.backend else { return None };
        let host = Url::parse(&self.public_url).ok()?.host_str()?.to_owned();
        (is_this_machine(&host) && !is_this_machine(&server.host)).then(|| {
            format!(
                "links in mails lead to {}, which is another machine for each reader: set PUBLIC_URL to where users reach \
                 the API",
                self.public_url
            )
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn read_backend(reader: &mut Reader, smtp: SmtpConfig, folder: Option<String>) -> Backend {
    let text = reader.required(&EMAIL_BACKEND);
    let spelled = DJANGO_BACKENDS.iter().find(|(path, _)| *path == text).map(|(_, word)| *word);
    match (spelled.unwrap_or(&text), folder) {
        ("smtp", _) => Backend::Smtp(Box::new(smtp)),
        ("console", _) => Backend::Console,
        ("file", Some(folder)) => Backend::File(folder.into()),
        ("file", None) => {
            reader.problem(
                "EMAIL_FILE_PATH is not set: with EMAIL_BACKEND=file it names the folder of the mails",
            );
            Backend::Console
        }
        _ => {
            reader.problem(format!(
                "EMAIL_BACKEND: {text:?} is not smtp, console or file; own Python classes can't be used"
            ));
            Backend::Console
        }
    }
}

fn read_smtp(reader: &mut Reader) -> SmtpConfig {
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
    SmtpConfig {
        host: reader.required(&EMAIL_HOST),
        port: reader.parsed(&EMAIL_PORT, "a port from 1 to 65535"),
        login: read_login(reader),
        encryption,
        authorities: read_authorities(reader),
        timeout,
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

fn read_from(reader: &mut Reader) -> Mailbox {
    let text = reader.required(&DEFAULT_FROM_EMAIL);
    text.parse().unwrap_or_else(|_| {
        reader.problem(format!(
            "DEFAULT_FROM_EMAIL: {text:?} is not an address such as warren@example.org or \
             Warren <warren@example.org>"
        ));
        Mailbox::new(None, lettre::Address::new_dangerous("webmaster", "localhost"))
    })
}

fn read_public_url(reader: &mut Reader) -> String {
    let text = reader.required(&PUBLIC_URL);
    let right = |url: &Url| {
        ["http", "https"].contains(&url.scheme())
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    };
    if let Some(url) = Url::parse(&text).ok().filter(right) {
        return url.as_str().trim_end_matches('/').to_owned();
    }
    reader.problem(
        "PUBLIC_URL: must be http://host or https://host, with a port and a path if need be, but without a login, ? \
         and #",
    );
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<MailConfig, String> {
        let mut reader =
            Reader::from_values(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = MailConfig::read(&mut reader);
        reader.finish(config).map_err(|error| error.to_string())
    }

    fn smtp(values: &[(&str, &str)]) -> SmtpConfig {
        match read(values).unwrap().backend {
            Backend::Smtp(smtp) => *smtp,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_settings_mail_goes_to_a_server_on_this_machine() {
        let config = read(&[]).unwrap();
        assert_eq!(config.public_url, "http://127.0.0.1:8000");
        assert_eq!(config.from.to_string(), "webmaster@localhost");
        assert_eq!(config.password_reset_timeout, Duration::from_mins(5));
        assert_eq!(config.email_verification_timeout, Duration::from_hours(24));
        let server = smtp(&[]);
        assert_eq!(
            (server.host.as_str(), server.port, server.timeout),
            ("localhost", 25, Duration::from_secs(10))
        );
        assert!(server.encryption == Encryption::None && server.login.is_none());
    }

    #[test]
    fn djangos_spellings_are_read() {
        let path = |word| format!("django.core.mail.backends.{word}.EmailBackend");
        assert!(matches!(read(&[("EMAIL_BACKEND", &path("smtp"))]).unwrap().backend, Backend::Smtp(_)));
        assert!(matches!(read(&[("EMAIL_BACKEND", &path("console"))]).unwrap().backend, Backend::Console));
        let file = read(&[("EMAIL_BACKEND", &path("filebased")), ("EMAIL_FILE_PATH", "/mails")]).unwrap();
        assert!(matches!(file.backend, Backend::File(folder) if folder.as_os_str() == "/mails"));
        let server = smtp(&[("EMAIL_USE_TLS", "True"), ("EMAIL_USER", "u"), ("EMAIL_PASS", "p")]);
        assert_eq!(server.encryption, Encryption::StartTls);
        assert_eq!(server.login, Some((Secret::new("u"), Secret::new("p"))));
        assert_eq!(smtp(&[("EMAIL_USE_SSL", "1")]).encryption, Encryption::Implicit);
    }

    #[test]
    fn what_does_not_fit_together_is_refused_at_the_start() {
        for (values, said) in [
            (&[("EMAIL_USE_TLS", "true"), ("EMAIL_USE_SSL", "true")][..], "both true"),
            (&[("EMAIL_BACKEND", "file")], "EMAIL_FILE_PATH is not set"),
            (&[("EMAIL_BACKEND", "my.Backend")], "my.Backend"),
            (&[("EMAIL_HOST_USER", "u")], "without EMAIL_HOST_PASSWORD"),
            (&[("EMAIL_PASS", "p")], "without EMAIL_HOST_USER"),
            (&[("EMAIL_PASS", "p"), ("EMAIL_HOST_PASSWORD", "q"), ("EMAIL_USER", "u")], "differ"),
            (&[("EMAIL_TIMEOUT", "1m")], "EMAIL_TIMEOUT: at most 50s"),
            (&[("EMAIL_PORT", "smtp")], "EMAIL_PORT"),
            (&[("EMAIL_SSL_CAFILE", "/nowhere")], "EMAIL_SSL_CAFILE: /nowhere"),
            (&[("DEFAULT_FROM_EMAIL", "Warren")], "DEFAULT_FROM_EMAIL"),
            (&[("DEFAULT_FROM_EMAIL", "a@b.example\r\nBcc: c@d.example")], "DEFAULT_FROM_EMAIL"),
            (&[("PASSWORD_RESET_TIMEOUT", "0")], "PASSWORD_RESET_TIMEOUT"),
        ] {
            let message = read(values).unwrap_err();
            assert!(message.contains("1 place(s)") && message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_public_url_is_an_origin_and_at_most_a_path() {
        for (text, kept) in [
            ("https://warren.example", "https://warren.example"),
            ("https://warren.example/", "https://warren.example"),
            ("https://example.org:8443/warren/", "https://example.org:8443/warren"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(read(&[("PUBLIC_URL", text)]).unwrap().public_url, kept);
        }
        for text in [
            "warren.example",
            "ftp://h",
            "https://u:p@h",
            "https://h/?a=1",
            "https://h/#a",
            "mailto:a@b.example",
        ] {
            let message = read(&[("PUBLIC_URL", text)]).unwrap_err();
            assert!(message.contains("PUBLIC_URL: must be http://"), "{text}: {message}");
        }
    }

    #[test]
    fn links_that_lead_to_this_machine_in_mails_that_leave_it_are_warned_of() {
        for (site, server, backend, is_warned) in [
            ("http://127.0.0.1:8000", "mail.example.org", "smtp", true),
            ("http://localhost:8000", "192.0.2.7", "smtp", true),
            ("http://[::1]:8000/warren", "mail.example.org", "smtp", true),
            ("http://0.0.0.0:8000", "mail.example.org", "smtp", true),
            ("https://warren.example", "mail.example.org", "smtp", false),
            ("http://192.0.2.8:8000", "mail.example.org", "smtp", false),
            ("http://127.0.0.1:8000", "localhost", "smtp", false),
            ("http://127.0.0.1:8000", "127.0.0.1", "smtp", false),
            ("http://127.0.0.1:8000", "::1", "smtp", false),
            ("http://127.0.0.1:8000", "mail.example.org", "console", false),
        ] {
            let config =
                read(&[("PUBLIC_URL", site), ("EMAIL_HOST", server), ("EMAIL_BACKEND", backend)]).unwrap();
            assert_eq!(config.warning().is_some(), is_warned, "{site} by {server}");
        }
    }
}
