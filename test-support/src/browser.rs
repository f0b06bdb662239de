//! A browser: Chromium, driven by a script of `python/browser/` that is a test of the page.
//!
//! The script says what it wants of the world around the browser (a line of SQL, the end of a program) on its standard
//! output, one JSON object a line, and goes on when it is answered. Whatever goes wrong in it fails the test with its words.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

use crate::environment;

/// How long a script may be silent: a browser starts slowly on a machine that compiles beside it.
const SILENCE_MAX: Duration = Duration::from_mins(10);

/// A running script. It is killed when this is dropped, and its browser goes with it.
#[derive(Debug)]
pub struct BrowserScript {
    name: &'static str,
    child: Child,
    answers: ChildStdin,
    wishes: UnboundedReceiver<String>,
    folder: TempDir,
}

impl BrowserScript {
    /// Starts `python/browser/<name>.py`; `given` is what it is told first.
    pub fn start(name: &'static str, mut given: Value) -> Self {
        let script =
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/python/browser")).join(format!("{name}.py"));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = File::create(folder.path().join("log")).expect("a log file");
        let mut command = Command::new(environment::python());
        command.arg("-u").arg(script).env_clear().env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        // Chromium wants a folder of its own for what it notes down, and finds its programs by PATH.
        command.env("HOME", folder.path()).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("Python can be started");
        let answers = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, wishes) = unbounded_channel();
        // A thread of its own, since a read can't be given up; it ends when the process closes its output.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        given["chromium"] = environment::chromium().to_string_lossy().into();
        given["screenshots"] = environment::screenshots_folder().to_string_lossy().into();
        let mut started = Self { name, child, answers, wishes, folder };
        started.answer(&given);
        started
    }

    /// The next thing that the script wants done; none once it has ended well.
    pub async fn wish(&mut self) -> Option<Value> {
        let Ok(wish) = timeout(SILENCE_MAX, self.wishes.recv()).await else {
            panic!("{}.py has been silent for too long\n{}", self.name, self.log());
        };
        let Some(line) = wish else {
            let status = self.child.wait().expect("its status");
            assert!(status.success(), "{}.py: {status}\n{}", self.name, self.log());
            return None;
        };
        let wish = serde_json::from_str(&line);
        Some(wish.unwrap_or_else(|error| panic!("{}.py wrote {line:?}: {error}\n{}", self.name, self.log())))
    }

    /// Tells it that the last wish is fulfilled.
    pub fn answer(&mut self, answer: &Value) {
        // One that has died says why when it is asked for its next wish.
        let _ = writeln!(self.answers, "{answer}");
    }

    /// What it wrote to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for BrowserScript {
    fn drop(&mut self) {
        // Playwright's driver ends its browsers when its script is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
