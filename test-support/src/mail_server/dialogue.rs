//! One connection of a test's mail server: SMTP as it should be, but for what it was told to do instead.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};

use super::certificate::Acceptor;
use super::received::ReceivedMail;
use super::{State, lock};

/// Where in a dialogue something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Instead of the greeting.
    Greeting,
    /// Instead of the answer to EHLO.
    Hello,
    /// Instead of the answer to AUTH.
    Login,
    /// Instead of the answer to MAIL FROM.
    Sender,
    /// Instead of the answer to RCPT TO.
    Recipient,
    /// Instead of the answer to DATA.
    Data,
    /// When the first line of the mail is there, in the middle of it.
    Middle,
    /// After the dot that ends the mail, instead of the answer. The mail is kept: it has arrived.
    End,
}

/// What a server does to a connection.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// All that it should.
    Accept,
    /// Gives this answer there; a refused mail isn't kept.
    Answer(At, &'static str),
    /// Says nothing more from there on, and keeps the connection open.
    Hang(At),
    /// Ends the connection there.
    Close(At),
    /// Waits so long before each answer.
    Slow(Duration),
}

pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}
pub(super) type Stream = Box<dyn Transport>;

/// Why a dialogue is over.
pub(super) struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// One connection.
pub(super) struct Dialogue {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) conduct: Conduct,
    pub(super) upgrade: Option<Acceptor>,
    pub(super) is_encrypted: bool,
}

impl Dialogue {
    pub(super) async fn hold(mut self, stream: Stream) -> Result<(), Over> {
        let mut stream = BufStream::new(stream);
        self.answer(&mut stream, At::Greeting, "220 mail.test").await?;
        let mut mail = self.blank(None);
        loop {
            let line = read_line(&mut stream).await?;
            let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" | "HELO" => {
                    let starttls = if self.upgrade.is_some() { "250-STARTTLS\r\n" } else { "" };
                    let hello = format!("250-mail.test\r\n{starttls}250-8BITMIME\r\n250 AUTH PLAIN LOGIN");
                    self.answer(&mut stream, At::Hello, &hello).await?;
                }
                "STARTTLS" => {
                    let Some(Acceptor(tls)) = self.upgrade.take() else { return Err(Over) };
                    write_line(&mut stream, "220 go ahead").await?;
                    let encrypted: Stream = Box::new(tls.accept(stream.into_inner()).await?);
                    stream = BufStream::new(encrypted);
                    self.is_encrypted = true;
                    mail = self.blank(None);
                }
                "AUTH" => {
                    let login = login_of(&line);
                    if self.answer(&mut stream, At::Login, "235 welcome").await? {
                        mail.login = login;
                    }
                }
                "MAIL" => {
                    mail = self.blank(mail.login);
                    mail.sender = address_of(&line);
                    self.answer(&mut stream, At::Sender, "250 go on").await?;
                }
                "RCPT" => {
                    if self.answer(&mut stream, At::Recipient, "250 go on").await? {
                        mail.recipients.push(address_of(&line));
                    }
                }
                "DATA" => {
                    if self.answer(&mut stream, At::Data, "354 go on").await? {
                        mail.content = self.read_content(&mut stream).await?;
                        self.end(&mut stream, &mail).await?;
                    }
                }
                "QUIT" => return Ok(write_line(&mut stream, "221 bye").await?),
                _ => write_line(&mut stream, "250 as you like").await?,
            }
        }
    }

    async fn end(&self, stream: &mut BufStream<Stream>, mail: &ReceivedMail) -> Result<(), Over> {
        let is_refused = matches!(self.conduct, Conduct::Answer(At::End, line) if !line.starts_with('2'));
        if !is_refused {
            lock(&self.state).mails.push(mail.clone());
        }
        self.answer(stream, At::End, "250 queued as 4711").await.map(|_| ())
    }

    fn blank(&self, login: Option<String>) -> ReceivedMail {
        let (sender, content) = (String::new(), String::new());
        ReceivedMail { sender, recipients: Vec::new(), content, was_encrypted: self.is_encrypted, login }
    }

    /// Answers as it should be, or as it was told to; whether the answer is a good one.
    async fn answer(&self, stream: &mut BufStream<Stream>, at: At, good: &str) -> Result<bool, Over> {
        match &self.conduct {
            Conduct::Answer(there, line) if *there == at => {
                write_line(stream, line).await?;
                return Ok(line.starts_with(['2', '3']));
            }
            Conduct::Hang(there) if *there == at => std::future::pending::<()>().await,
            Conduct::Close(there) if *there == at => return Err(Over),
            Conduct::Slow(pause) => tokio::time::sleep(*pause).await,
            _ => {}
        }
        write_line(stream, good).await?;
        Ok(true)
    }

    async fn read_content(&self, stream: &mut BufStream<Stream>) -> Result<String, Over> {
        let mut content = String::new();
        loop {
            let line = read_line(stream).await?;
            match &self.conduct {
                Conduct::Hang(At::Middle) => std::future::pending::<()>().await,
                Conduct::Close(At::Middle) => return Err(Over),
                _ => {}
            }
            if line == "." {
                return Ok(content);
            }
            content.push_str(line.strip_prefix('.').unwrap_or(&line));
            content.push_str("\r\n");
        }
    }
}

async fn read_line(stream: &mut BufStream<Stream>) -> Result<String, Over> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Err(Over);
    }
    let line = String::from_utf8(line).map_err(|_| Over)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn write_line(stream: &mut BufStream<Stream>, line: &str) -> std::io::Result<()> {
    stream.write_all(line.as_bytes()).await?;
    stream.write_all(b"\r\n").await?;
    stream.flush().await
}

/// The address between the angle brackets of `MAIL FROM:<…>`.
fn address_of(line: &str) -> String {
    line.split(['<', '>']).nth(1).unwrap_or_default().to_owned()
}

/// `user:password` of `AUTH PLAIN …`.
fn login_of(line: &str) -> Option<String> {
    let decoded = BASE64_STANDARD.decode(line.split(' ').nth(2)?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let mut parts = text.split('\0').skip(1);
    Some(format!("{}:{}", parts.next()?, parts.next()?))
}
