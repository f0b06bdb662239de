//! A mail server of one test: it speaks SMTP on a loopback port, keeps what it was given, and misbehaves when told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use mailparse::{MailHeaderMap, ParsedMail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::aws_lc_rs};

use crate::eventually;

/// How long a mail may take that is sure to come.
const MAIL_DEADLINE: Duration = Duration::from_mins(1);

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

/// Whether and how connections can be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// They can't.
    Plain,
    /// STARTTLS is offered.
    StartTls,
    /// They are, from the first byte on.
    Implicit,
}

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

/// What all connections share.
#[derive(Debug, Default)]
struct State {
    mails: Vec<ReceivedMail>,
    connections: usize,
    next: VecDeque<Conduct>,
    after: Option<Conduct>,
}

/// A mail server. Everything ends when it is dropped.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    security: Security,
    certificate: Option<Certificate>,
    state: Arc<Mutex<State>>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Certificate {
    file: PathBuf,
    acceptor: Acceptor,
    _folder: TempDir,
}

#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Acceptor")
    }
}

impl MailServer {
    /// Starts one that takes every mail, without TLS.
    pub async fn start() -> Self {
        Self::start_with(Security::Plain).await
    }

    /// Starts one that takes every mail.
    pub async fn start_with(security: Security) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let certificate = (security != Security::Plain).then(Certificate::new);
        let mut server = Self { address, security, certificate, state: Arc::default(), serving: None };
        server.serve(listener);
        server
    }

    /// The settings of a scheduler that sends by it.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings =
            vec![("EMAIL_HOST", "127.0.0.1".to_owned()), ("EMAIL_PORT", self.address.port().to_string())];
        match self.security {
            Security::Plain => {}
            Security::StartTls => settings.push(("EMAIL_USE_TLS", "true".to_owned())),
            Security::Implicit => settings.push(("EMAIL_USE_SSL", "true".to_owned())),
        }
        if let Some(certificate) = &self.certificate {
            settings.push(("EMAIL_SSL_CAFILE", certificate.file.display().to_string()));
        }
        settings
    }

    /// How the next connection that nothing was said about yet is treated.
    pub fn next(&self, conduct: Conduct) {
        self.state().next.push_back(conduct);
    }

    /// How connections are treated about which nothing else was said.
    pub fn from_now_on(&self, conduct: Conduct) {
        self.state().after = Some(conduct);
    }

    /// The mails that arrived, in the order in which they did.
    pub fn mails(&self) -> Vec<ReceivedMail> {
        self.state().mails.clone()
    }

    /// The mails that arrived at this address.
    pub fn mails_to(&self, address: &str) -> Vec<ReceivedMail> {
        self.mails().into_iter().filter(|mail| mail.recipients.iter().any(|to| to == address)).collect()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Waits for the mail of this number to this address, counted from 1, and gives it.
    pub async fn mail_to(&self, address: &str, number: usize) -> ReceivedMail {
        eventually(MAIL_DEADLINE, format!("mail {number} to {address}"), async || {
            self.mails_to(address).into_iter().nth(number - 1)
        })
        .await
    }

    /// Ends it: nobody listens on its port.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Cancelled is what it should be.
            let _ = serving.await;
        }
    }

    /// Starts it again on its port; it remembers everything.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.expect("its port is still free");
        self.serve(listener);
    }

    fn serve(&mut self, listener: TcpListener) {
        let (state, security) = (self.state.clone(), self.security);
        let acceptor = self.certificate.as_ref().map(|certificate| certificate.acceptor.clone());
        self.serving = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (state, acceptor) = (state.clone(), acceptor.clone());
                let conduct = {
                    let mut state = lock(&state);
                    state.connections += 1;
                    let next = state.next.pop_front();
                    next.or_else(|| state.after.clone()).unwrap_or(Conduct::Accept)
                };
                connections.spawn(async move {
                    let mut stream: Stream = Box::new(stream);
                    if let Some(Acceptor(tls)) = acceptor.as_ref().filter(|_| security == Security::Implicit)
                    {
                        let Ok(encrypted) = tls.accept(stream).await else { return };
                        stream = Box::new(encrypted);
                    }
                    let is_encrypted = security == Security::Implicit;
                    let upgrade = acceptor.filter(|_| security == Security::StartTls);
                    let dialogue = Dialogue { state, conduct, upgrade, is_encrypted };
                    // A connection that ends early is one of the things to be tested.
                    let _ = dialogue.hold(stream).await;
                });
            }
        }));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

impl Certificate {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])
            .expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("authority.pem");
        std::fs::write(&file, made.cert.pem()).expect("the certificate can be written");
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate with its key");
        Self { file, acceptor: Acceptor(TlsAcceptor::from(Arc::new(config))), _folder: folder }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}
type Stream = Box<dyn Transport>;

/// Why a dialogue is over.
struct Over;

impl From<std::io::Error> for Over {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

/// One connection.
struct Dialogue {
    state: Arc<Mutex<State>>,
    conduct: Conduct,
    upgrade: Option<Acceptor>,
    is_encrypted: bool,
}

impl Dialogue {
    async fn hold(mut self, stream: Stream) -> Result<(), Over> {
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
