//! A mail server of one test: it speaks SMTP on a loopback port, keeps what it was given, and misbehaves when told to.

mod certificate;
mod dialogue;
mod received;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use self::certificate::{Acceptor, Certificate};
pub use self::dialogue::{At, Conduct};
use self::dialogue::{Dialogue, Stream};
pub use self::received::ReceivedMail;
use crate::eventually;

/// How long a mail may take that is sure to come.
const MAIL_DEADLINE: Duration = Duration::from_mins(1);

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

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
