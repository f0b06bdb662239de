//! A mail as it goes over the wire: headers of ours alone, one part of text and one of HTML.

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, Header, HeaderName, HeaderValue};
use lettre::message::{Body, Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, address::AddressError};
use shared::ids::RunId;

use super::letter::Letter;

/// The longest line that travels as it is.
const LINE_MAX: usize = 900;

/// A mail that is ready to leave.
pub(super) struct WrittenMail {
    pub(super) envelope: Envelope,
    /// Headers and body, lines ending in CR LF.
    pub(super) bytes: Vec<u8>,
}

impl std::fmt::Debug for WrittenMail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its body opens a door.
        formatter.debug_struct("WrittenMail").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// Why a mail can't be written. No text repeats the address.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the address is none that a mail can be sent to")]
    Address(#[source] AddressError),
    #[error("the address has characters that no address may have")]
    Characters,
    #[error("the words can't be put together")]
    Words(#[from] askama::Error),
    #[error("the message can't be put together")]
    Message(#[from] lettre::error::Error),
}

/// Writes the mail of a run to `to`.
pub(super) fn write(
    letter: &Letter,
    from: &Mailbox,
    to: &str,
    run_id: RunId,
    at: DateTime<Utc>,
) -> Result<WrittenMail, WriteError> {
    let to = address(to)?;
    // The run's id names the mail, whichever attempt sends it: a receiver that got it already may drop it.
    let message_id = format!("<{run_id}@{}>", from.email.domain());
    let message = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(letter.subject)
        .date(SystemTime::from(at))
        .message_id(Some(message_id))
        .header(AutoSubmitted)
        .multipart(
            MultiPart::alternative()
                .boundary(format!("warren-{}", run_id.0.simple()))
                .singlepart(SinglePart::plain(body(letter.text()?)))
                .singlepart(SinglePart::html(body(letter.html()?))),
        )?;
    Ok(WrittenMail { envelope: message.envelope().clone(), bytes: message.formatted() })
}

/// Plain letters travel as they are, so that who looks at a mail's source can follow its link; others are encoded.
fn body(text: String) -> Body {
    if text.is_ascii() && text.lines().all(|line| line.len() <= LINE_MAX) {
        let bytes = text.replace('\n', "\r\n").into_bytes();
        return Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit);
    }
    Body::new(text)
}

/// Reads an address as it is kept; a domain in other letters is written as the mail servers write it.
fn address(text: &str) -> Result<Address, WriteError> {
    if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return Err(WriteError::Characters);
    }
    let Some((user, domain)) = text.rsplit_once('@') else {
        return Err(WriteError::Address(AddressError::MissingParts));
    };
    let ascii = match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) if !domain.is_ascii() => Some(ascii),
        _ => None,
    };
    Address::new(user, ascii.as_deref().unwrap_or(domain)).map_err(WriteError::Address)
}

/// Says that no human wrote this, so that no automaton answers.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    fn write_to(to: &str) -> Result<String, WriteError> {
        let url = format!("https://warren.example/api/email/verify/?token={}", "A".repeat(43));
        let letter = Letter::verify_email("https://warren.example", url, Duration::from_hours(24));
        let from = "Warren <warren@example.org>".parse().unwrap();
        let at = "2026-05-04T09:00:00Z".parse().unwrap();
        let mail = write(&letter, &from, to, RunId(Uuid::from_u128(7)), at)?;
        Ok(String::from_utf8(mail.bytes).unwrap())
    }

    #[test]
    fn the_headers_are_these_and_no_others() {
        let mail = write_to("ada@example.org").unwrap();
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let mut lines: Vec<&str> = head.split("\r\n").filter(|line| !line.starts_with(' ')).collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "Auto-Submitted: auto-generated",
                "Content-Type: multipart/alternative;",
                "Date: Mon, 04 May 2026 09:00:00 +0000",
                "From: Warren <warren@example.org>",
                "MIME-Version: 1.0",
                "Message-ID: <00000000-0000-0000-0000-000000000007@example.org>",
                "Subject: Please confirm your e-mail address",
                "To: ada@example.org",
            ]
        );
        // As it is, not encoded: who opens the file can follow the link.
        let link = format!("/api/email/verify/?token={}", "A".repeat(43));
        assert!(
            body.split("text/html").all(|part| part.contains(&link))
                && !body.replace("\r\n", "").contains('\n'),
            "{body}"
        );
        assert_eq!(body.matches("Content-Transfer-Encoding: 7bit").count(), 2, "{body}");
    }

    #[test]
    fn an_address_can_bring_no_header_along() {
        for to in [
            "ada@example.org\r\nBcc: all@example.org",
            "\"ada\r\nBcc: all\"@example.org",
            "ada\n@example.org",
            "ada@example.org, all@example.org",
            "ada@example.org>\u{0}",
            "Ada <ada@example.org>",
            "ada",
            "",
            "@",
        ] {
            let error = write_to(to).unwrap_err().to_string();
            assert!(!error.contains("example.org"), "{error}");
        }
    }

    #[test]
    fn a_domain_in_other_letters_is_written_as_mail_servers_write_it() {
        let mail = write_to("ada@b\u{fc}cher.example").unwrap();
        assert!(mail.contains("To: ada@xn--bcher-kva.example\r\n"), "{mail}");
    }
}
