//! SimpleJWT itself, to compare with: a Django project in a process of its own (`python/simplejwt_peer.py`).

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::environment;

/// How long one answer may take: the first needs Django's start.
const ANSWER_DEADLINE: Duration = Duration::from_mins(1);

/// A Django project with SimpleJWT's views. Its process is killed when this is dropped; if the test is failing, what
/// it wrote to standard error is shown.
#[derive(Debug)]
pub struct SimpleJwt {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<String>,
    folder: TempDir,
}

/// A key pair, as PEM.
#[derive(Debug, Clone)]
pub struct KeyPair {
    /// `SIGNING_KEY`.
    pub private: String,
    /// `VERIFYING_KEY`.
    pub public: String,
}

/// What Django answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAnswer {
    /// The status code.
    pub status: u16,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body as it stands.
    pub body: String,
}

/// The class by which SimpleJWT judges a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenClass {
    /// `AccessToken`
    Access,
    /// `RefreshToken`
    Refresh,
    /// `SlidingToken`
    Sliding,
    /// `UntypedToken`, the one of `/api/token/verify/`
    Untyped,
}

impl SimpleJwt {
    /// Starts it with `SIMPLE_JWT`: names as in SimpleJWT's manual, lifetimes in seconds, keys as text.
    #[expect(clippy::needless_pass_by_value, reason = "callers build it for this call alone")]
    pub fn start(settings: Value) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/simplejwt_peer.py");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let mut command = Command::new(environment::python());
        command.arg(script).env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("Python can be started");
        let commands = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, answers) = channel();
        // A thread of its own, since a read can't be given up; it ends when the process closes its output.
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut peer = Self { child, commands, answers, folder };
        peer.exchange(&settings);
        peer
    }

    /// Makes an active user with an id.
    pub fn create_user(&mut self, id: i64, username: &str, password: &str) {
        self.user(&json!({ "action": "create", "id": id, "username": username, "password": password }));
    }

    /// Changes columns of a user, such as `is_active`; `password` is plain, `password_hash` is stored as it stands.
    pub fn update_user(&mut self, id: i64, mut columns: Value) {
        columns["action"] = "update".into();
        columns["id"] = id.into();
        self.user(&columns);
    }

    /// Deletes a user.
    pub fn delete_user(&mut self, id: i64) {
        self.user(&json!({ "action": "delete", "id": id }));
    }

    /// `RefreshToken.for_user`: a refresh token, and its access token.
    pub fn mint(&mut self, user_id: i64) -> (String, String) {
        let minted = self.ask("mint", json!({ "user_id": user_id }));
        (text(&minted["refresh"]), text(&minted["access"]))
    }

    /// `SlidingToken.for_user`.
    pub fn mint_sliding(&mut self, user_id: i64) -> String {
        text(&self.ask("mint", json!({ "user_id": user_id, "sliding": true }))["token"])
    }

    /// What one of the token classes makes of a token: its claims, or the text of the refusal.
    pub fn verify(&mut self, token: &str, class: TokenClass) -> Result<Value, String> {
        let class = match class {
            TokenClass::Access => "access",
            TokenClass::Refresh => "refresh",
            TokenClass::Sliding => "sliding",
            TokenClass::Untyped => "untyped",
        };
        let mut answer = self.ask("verify", json!({ "token": token, "class": class }));
        if answer["ok"] == true { Ok(answer["claims"].take()) } else { Err(text(&answer["error"])) }
    }

    /// Sends a request. Values of headers are Latin-1, so that every byte has its character.
    pub fn request(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> PeerAnswer {
        use base64::Engine as _;
        let body = base64::engine::general_purpose::STANDARD.encode(body);
        let request = json!({ "method": method, "path": path, "headers": headers, "body_base64": body });
        let answer = self.ask("request", request);
        let pairs = answer["headers"].as_array().into_iter().flatten();
        PeerAnswer {
            status: answer["status"].as_u64().and_then(|status| status.try_into().ok()).expect("a status"),
            headers: pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            body: text(&answer["body"]),
        }
    }

    /// A password hash in Django's form; `algorithm` is its first word, such as `scrypt`.
    pub fn hash(&mut self, algorithm: &str, password: &str) -> String {
        text(&self.ask("hash", json!({ "algorithm": algorithm, "password": password }))["hash"])
    }

    /// New keys for `RS256`, `PS256`, `ES256`, `ES384`, `EdDSA` and their like.
    pub fn key_pair(&mut self, algorithm: &str) -> KeyPair {
        let keys = self.ask("keypair", json!({ "algorithm": algorithm }));
        KeyPair { private: text(&keys["private"]), public: text(&keys["public"]) }
    }

    /// The outstanding tokens: jti, user, and whether it is blacklisted.
    pub fn outstanding(&mut self) -> Vec<(String, Option<i64>, bool)> {
        let answer = self.ask("rows", json!({}));
        let rows = answer["rows"].as_array().into_iter().flatten();
        rows.map(|row| (text(&row["jti"]), row["user_id"].as_i64(), row["blacklisted"] == true)).collect()
    }

    fn user(&mut self, arguments: &Value) {
        self.ask("user", arguments.clone());
    }

    fn ask(&mut self, command: &str, mut arguments: Value) -> Value {
        arguments["do"] = command.into();
        self.exchange(&arguments)
    }

    fn exchange(&mut self, document: &Value) -> Value {
        writeln!(self.commands, "{document}").and_then(|()| self.commands.flush()).expect("Django listens");
        let line = self.answers.recv_timeout(ANSWER_DEADLINE).expect("Django answers");
        let answer: Value = serde_json::from_str(&line).expect("an answer in JSON");
        if let Some(failed) = answer["failed"].as_str() {
            panic!("the command {document} failed:\n{failed}");
        }
        answer
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// New keys from a process of their own, for tests that need them before SimpleJWT can start.
pub fn key_pair(algorithm: &str) -> KeyPair {
    SimpleJwt::start(json!({})).key_pair(algorithm)
}

impl Drop for SimpleJwt {
    fn drop(&mut self) {
        // It may have ended by itself meanwhile.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            eprintln!("--- what Django wrote ---\n{log}\n---");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
