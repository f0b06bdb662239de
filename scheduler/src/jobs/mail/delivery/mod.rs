//! Handing a mail over, and saying in one word what became of it.

mod folder;
mod smtp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lettre::message::Mailbox;
use shared::config::ConfigError;
use shared::contracts::mail::MailPurpose;

use super::config::{Backend, MailConfig};
use super::message::WrittenMail;
use crate::jobs::Printer;

/// What became of an attempt, as `mail_attempts.outcome` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was taken.
    Delivered,
    /// It will never be taken.
    Refused,
    /// It was not taken this time.
    Failed,
    /// All of it was handed over, and no answer came.
    Unconfirmed,
}

impl Outcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// An outcome and the reason for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) outcome: Outcome,
    /// What may be shown to anybody: no word of the server's.
    pub(super) reason: String,
    /// What the server said, or what went wrong.
    pub(super) reply: String,
}

impl Delivery {
    fn delivered(reply: impl Into<String>) -> Self {
        Self { outcome: Outcome::Delivered, reason: String::new(), reply: reply.into() }
    }
}

/// Where a mail leaves by itself; what is printed leaves by the run.
#[derive(Debug, Clone)]
enum Way {
    Smtp(smtp::Server),
    Console,
    Folder(PathBuf),
}

/// Hands mails over as the settings say. Clones share it.
#[derive(Debug, Clone)]
pub struct Mailer(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    way: Way,
    from: Mailbox,
    public_url: String,
    password_reset_timeout: Duration,
    email_verification_timeout: Duration,
}

impl Mailer {
    /// Prepares what can be prepared; connects to nothing.
    pub fn new(config: &MailConfig) -> Result<Self, ConfigError> {
        let way = match &config.backend {
            Backend::Smtp(server) => Way::Smtp(smtp::Server::new(server)?),
            Backend::Console => Way::Console,
            Backend::File(folder) => Way::Folder(folder.clone()),
        };
        Ok(Self(Arc::new(Parts {
            way,
            from: config.from.clone(),
            public_url: config.public_url.clone(),
            password_reset_timeout: config.password_reset_timeout,
            email_verification_timeout: config.email_verification_timeout,
        })))
    }

    pub(super) fn from(&self) -> &Mailbox {
        &self.0.from
    }

    /// What links begin with.
    pub(super) fn site(&self) -> &str {
        &self.0.public_url
    }

    /// How long a link of this purpose is good.
    pub(super) fn link_lasts(&self, purpose: MailPurpose) -> Duration {
        match purpose {
            MailPurpose::ResetPassword => self.0.password_reset_timeout,
            _ => self.0.email_verification_timeout,
        }
    }

    /// Hands a mail over. `name` is what a file of it is called.
    pub(super) async fn deliver(&self, mail: WrittenMail, name: &str, printer: &Printer) -> Delivery {
        match &self.0.way {
            Way::Smtp(server) => server.send(&mail).await,
            Way::Console => {
                let text = String::from_utf8_lossy(&mail.bytes).replace("\r\n", "\n");
                printer.print(format!("{text}\n{}\n", "-".repeat(79))).await;
                Delivery::delivered("printed")
            }
            Way::Folder(folder) => folder::put(folder.clone(), format!("{name}.eml"), mail.bytes).await,
        }
    }
}
