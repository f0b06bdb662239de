//! How mails leave, from whom, and where their links lead.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::message::Mailbox;
use shared::config::{Reader, Setting};
use url::Url;

use super::smtp_config::SmtpConfig;

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

/// The settings of this room, beside those of the server.
pub const SETTINGS: &[&Setting] = &[
    &PUBLIC_URL,
    &EMAIL_BACKEND,
    &EMAIL_FILE_PATH,
    &DEFAULT_FROM_EMAIL,
    &PASSWORD_RESET_TIMEOUT,
    &EMAIL_VERIFICATION_TIMEOUT,
];

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

impl MailConfig {
    /// Reads the section; what doesn't fit together is a mistake, also where another backend is chosen.
    pub fn read(reader: &mut Reader) -> Self {
        let smtp = SmtpConfig::read(reader);
        let folder = reader.optional(&EMAIL_FILE_PATH);
        Self {
            backend: read_backend(reader, smtp, folder),
            from: read_from(reader),
            public_url: read_public_url(reader),
            password_reset_timeout: reader.duration(&PASSWORD_RESET_TIMEOUT),
            email_verification_timeout: reader.duration(&EMAIL_VERIFICATION_TIMEOUT),
        }
    }

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
    use shared::config::Secret;

    use super::super::smtp_config::Encryption;
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
