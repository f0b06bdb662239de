//! A mail that a test's mail server was given, and what a reader finds in it.

use mailparse::{MailHeaderMap, ParsedMail};

/// A mail as it came.
#[derive(Debug, Clone)]
pub struct ReceivedMail {
    /// The address of MAIL FROM.
    pub sender: String,
    /// The addresses of RCPT TO.
    pub recipients: Vec<String>,
    /// Headers and body as they came, without the dots of the transport.
    pub content: String,
    /// Whether it came over TLS.
    pub was_encrypted: bool,
    /// Who had logged in, as `user:password`.
    pub login: Option<String>,
}

impl ReceivedMail {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<String> {
        self.parsed().headers.get_first_value(name)
    }

    /// The part of this type, such as `text/html`, decoded.
    pub fn part(&self, mime_type: &str) -> String {
        let mail = self.parsed();
        let part = mail.parts().find(|part| part.ctype.mimetype == mime_type);
        let part = part.unwrap_or_else(|| panic!("no part is {mime_type} in:\n{}", self.content));
        part.get_body().expect("a part can be decoded").replace("\r\n", "\n")
    }

    /// The one link in the text that has a token.
    pub fn link(&self) -> String {
        let text = self.part("text/plain");
        let mut links = text.split_whitespace().filter(|word| word.contains("?token="));
        let link = links.next().unwrap_or_else(|| panic!("no link in:\n{text}"));
        assert!(links.next().is_none(), "more than one link in:\n{text}");
        link.to_owned()
    }

    /// The token of its link.
    pub fn token(&self) -> String {
        self.link().split("?token=").nth(1).expect("a link has a token").to_owned()
    }

    fn parsed(&self) -> ParsedMail<'_> {
        mailparse::parse_mail(self.content.as_bytes()).expect("a mail can be parsed")
    }
}
