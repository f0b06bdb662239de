//! SMTP, command by command: what a failure means depends on when it happens.
//!
//! Up to the last byte of the mail nothing was taken, and it is tried again, unless the server says that it never will
//! take it (5xx). Once the dot that ends the mail may have left, silence means that nobody knows. Every step has a time
//! limit, and all of them together have one.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Severity;
use shared::config::ConfigError;
use tokio::time::timeout;

use super::{Delivery, Outcome};
use crate::jobs::mail::message::WrittenMail;
use crate::jobs::mail::smtp_config::{DIALOGUE_MAX, Encryption, SmtpConfig};

/// How long a server may take to say goodbye to a mail that it has taken.
const QUIT_MAX: Duration = Duration::from_secs(1);
/// What a server answers who wants a login, or another one: that is no word about the mail.
const LOGIN_WANTED: [u16; 4] = [530, 534, 535, 538];

/// A mail server, ready to be spoken to.
#[derive(Clone)]
pub(super) struct Server {
    host: String,
    port: u16,
    login: Option<Credentials>,
    encryption: Encryption,
    tls: Option<TlsParameters>,
    step_max: Duration,
    hello: ClientId,
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// Where a dialogue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    Encrypt,
    LogIn,
    Sender,
    Recipient,
    Data,
    Content,
}

impl Step {
    /// What could not be done.
    const fn in_words(self) -> &'static str {
        match self {
            Self::Connect => "the mail server can't be reached",
            Self::Encrypt => "the connection to the mail server can't be encrypted",
            Self::LogIn => "the mail server doesn't let us log in",
            Self::Sender => "the mail server doesn't take our sender address",
            Self::Recipient => "the mail server doesn't take the recipient's address",
            Self::Data | Self::Content => "the mail server doesn't take the mail",
        }
    }

    /// Whether an answer to it is one about the mail, so that a refusal is lasting.
    const fn is_about_the_mail(self) -> bool {
        matches!(self, Self::Sender | Self::Recipient | Self::Data | Self::Content)
    }
}

/// A step that went wrong.
struct Failure {
    step: Step,
    /// The server's code, if it gave one.
    code: Option<u16>,
    is_lasting: bool,
    reply: String,
}

impl Failure {
    fn new(step: Step, error: &Error) -> Self {
        let code = error.status();
        let is_lasting = code.is_some_and(|code| code.severity == Severity::PermanentNegativeCompletion);
        Self { step, code: code.map(u16::from), is_lasting, reply: error.to_string() }
    }

    fn late(step: Step, limit: Duration) -> Self {
        let reply = format!("no answer within {} s", limit.as_secs_f64());
        Self { step, code: None, is_lasting: false, reply }
    }

    /// `may_have_left`: the end of the mail was on its way.
    fn judge(self, may_have_left: bool) -> Delivery {
        let outcome = match self.code {
            Some(code)
                if self.is_lasting && self.step.is_about_the_mail() && !LOGIN_WANTED.contains(&code) =>
            {
                Outcome::Refused
            }
            None if self.is_lasting => Outcome::Refused,
            None if may_have_left => Outcome::Unconfirmed,
            _ => Outcome::Failed,
        };
        let what = if outcome == Outcome::Unconfirmed {
            "the mail server got the whole mail and did not answer"
        } else {
            self.step.in_words()
        };
        let code = self.code.map_or_else(String::new, |code| format!(" ({code})"));
        Delivery { outcome, reason: format!("{what}{code}"), reply: self.reply }
    }
}

impl Server {
    pub(super) fn new(config: &SmtpConfig) -> Result<Self, ConfigError> {
        let tls = match config.encryption {
            Encryption::None => None,
            Encryption::StartTls | Encryption::Implicit => Some(tls(config)?),
        };
        let credentials = config
            .login
            .as_ref()
            .map(|(user, password)| Credentials::new(user.expose().to_owned(), password.expose().to_owned()));
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            login: credentials,
            encryption: config.encryption,
            tls,
            step_max: config.timeout,
            hello: ClientId::default(),
        })
    }

    /// Sends a mail over a connection of its own.
    pub(super) async fn send(&self, mail: &WrittenMail) -> Delivery {
        let may_have_left = AtomicBool::new(false);
        let mut step = Step::Connect;
        match timeout(DIALOGUE_MAX, self.dialogue(mail, &mut step, &may_have_left)).await {
            Ok(Ok(reply)) => Delivery::delivered(reply),
            Ok(Err(failure)) => failure.judge(may_have_left.load(Ordering::Relaxed)),
            Err(_) => Failure::late(step, DIALOGUE_MAX).judge(may_have_left.load(Ordering::Relaxed)),
        }
    }

    async fn dialogue(
        &self,
        mail: &WrittenMail,
        step: &mut Step,
        may_have_left: &AtomicBool,
    ) -> Result<String, Failure> {
        let mut connection = self.connect(step).await?;
        *step = Step::Sender;
        let options = mail_options(&connection, mail)?;
        let sender = Mail::new(mail.envelope.from().cloned(), options);
        self.within(*step, connection.command(sender)).await?;
        *step = Step::Recipient;
        for recipient in mail.envelope.to() {
            self.within(*step, connection.command(Rcpt::new(recipient.clone(), Vec::new()))).await?;
        }
        *step = Step::Data;
        self.within(*step, connection.command(Data)).await?;
        *step = Step::Content;
        // Asked for more when all of the mail was written: what comes next is the dot that ends it.
        let end = std::iter::from_fn(|| {
            may_have_left.store(true, Ordering::Relaxed);
            None
        });
        let content = std::iter::once(mail.bytes.as_slice()).chain(end);
        let taken = self.within(*step, connection.message_iter(content)).await?;
        // It is the server's mail from here on, whatever it makes of this.
        let _ = timeout(QUIT_MAX, connection.quit()).await;
        let words: Vec<&str> = taken.message().collect();
        Ok(format!("{} {}", taken.code(), words.join(" ")))
    }

    async fn connect(&self, step: &mut Step) -> Result<AsyncSmtpConnection, Failure> {
        let implicit = self.tls.clone().filter(|_| self.encryption == Encryption::Implicit);
        let connecting = AsyncSmtpConnection::connect_tokio1(
            (self.host.as_str(), self.port),
            Some(self.step_max),
            &self.hello,
            implicit,
            None,
        );
        let mut connection = self.within(*step, connecting).await?;
        if let Some(tls) = self.tls.clone().filter(|_| self.encryption == Encryption::StartTls) {
            *step = Step::Encrypt;
            self.within(*step, connection.starttls(tls, &self.hello)).await?;
        }
        if let Some(credentials) = &self.login {
            *step = Step::LogIn;
            self.within(*step, connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials)).await?;
        }
        Ok(connection)
    }

    async fn within<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Failure> {
        match timeout(self.step_max, work).await {
            Ok(done) => done.map_err(|error| Failure::new(step, &error)),
            Err(_) => Err(Failure::late(step, self.step_max)),
        }
    }
}

fn tls(config: &SmtpConfig) -> Result<TlsParameters, ConfigError> {
    let mut builder = TlsParametersBuilder::new(config.host.clone());
    for authority in &config.authorities {
        builder = builder.add_root_certificate(authority.clone());
    }
    builder.build().map_err(|error| ConfigError::of(format!("EMAIL_USE_TLS, EMAIL_USE_SSL: {error}")))
}

/// What must be said of a mail beforehand; a server that can't take such a mail never will.
fn mail_options(connection: &AsyncSmtpConnection, mail: &WrittenMail) -> Result<Vec<MailParameter>, Failure> {
    let mut options = Vec::new();
    let has_foreign_letters = mail.envelope.to().iter().any(|to| !to.to_string().is_ascii());
    if has_foreign_letters {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let reply = "the server takes no addresses beyond ASCII".to_owned();
            return Err(Failure { step: Step::Recipient, code: None, is_lasting: true, reply });
        }
        options.push(MailParameter::SmtpUtfEight);
    }
    if !mail.bytes.is_ascii() {
        options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(step: Step, code: Option<u16>, may_have_left: bool) -> Outcome {
        let is_lasting = code.is_some_and(|code| code >= 500);
        Failure { step, code, is_lasting, reply: String::new() }.judge(may_have_left).outcome
    }

    #[test]
    fn a_refusal_of_the_mail_is_lasting_and_one_of_ours_is_not() {
        for step in [Step::Sender, Step::Recipient, Step::Data, Step::Content] {
            assert_eq!(judged(step, Some(550), step == Step::Content), Outcome::Refused, "{step:?}");
            assert_eq!(judged(step, Some(451), step == Step::Content), Outcome::Failed, "{step:?}");
            assert_eq!(judged(step, Some(530), step == Step::Content), Outcome::Failed, "{step:?}");
        }
        // A wrong password of ours, or a server that turns everybody away, is mended by an operator.
        for step in [Step::Connect, Step::Encrypt, Step::LogIn] {
            assert_eq!(judged(step, Some(554), false), Outcome::Failed, "{step:?}");
        }
    }

    /// RFC 5321, 4.2.1: the first digit decides, also of a code that isn't listed for its step, such as 554 to RCPT. To be
    /// refused for good is no word about the next mail to the same address.
    #[test]
    fn whatever_the_code_5xx_to_a_recipient_is_lasting_and_4xx_is_not() {
        for code in 400..500 {
            assert_eq!(judged(Step::Recipient, Some(code), false), Outcome::Failed, "{code}");
        }
        for code in (500..600).filter(|code| !LOGIN_WANTED.contains(code)) {
            assert_eq!(judged(Step::Recipient, Some(code), false), Outcome::Refused, "{code}");
        }
    }

    #[test]
    fn silence_after_the_end_of_the_mail_is_the_only_thing_that_nobody_can_know() {
        for step in [Step::Connect, Step::Encrypt, Step::LogIn, Step::Sender, Step::Recipient, Step::Data] {
            assert_eq!(judged(step, None, false), Outcome::Failed, "{step:?}");
        }
        assert_eq!(judged(Step::Content, None, false), Outcome::Failed);
        assert_eq!(judged(Step::Content, None, true), Outcome::Unconfirmed);
    }

    #[test]
    fn what_is_shown_has_the_code_and_no_word_of_the_server() {
        let reply = "no such user <ada@example.org>".to_owned();
        let failure = Failure { step: Step::Recipient, code: Some(550), is_lasting: true, reply };
        let delivery = failure.judge(false);
        assert_eq!(delivery.reason, "the mail server doesn't take the recipient's address (550)");
    }
}
