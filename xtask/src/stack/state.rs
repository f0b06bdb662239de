//! What a later command must know of an earlier one: `target/stack/state.json`, readable by its owner alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::{layout::Layout, programs::Program, settings::Settings};
use crate::{
    process::{self, ProcessIdentity},
    servers::secret,
};

/// Everything that is remembered; lasts until `--fresh`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// Where the servers' folders lie.
    pub(super) servers: PathBuf,
    /// What the programs sign tokens with unless the caller brings a key.
    pub(super) signing_key: String,
    /// The password of the operators' logins at both servers.
    pub(super) operator_password: String,
    /// The passwords of the programs' logins at both servers, by the program's name. A stack of before has none.
    #[serde(default)]
    program_passwords: BTreeMap<String, String>,
    /// The databases in which the demo accounts were made; somebody may have removed them on purpose since.
    demo_accounts: BTreeSet<String>,
    /// From the first `up` to `down`.
    pub(super) session: Option<Session>,
}

/// One running stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// Tells this session from the next one.
    pub(super) id: String,
    /// The machine's boot, which ends every session.
    boot: String,
    /// The settings of the first `up`.
    pub(super) settings: Settings,
    /// How many of each program.
    pub(super) replicas: usize,
    /// True while something stops it, so that nobody takes the ends of its processes for accidents.
    pub(super) stopping: bool,
    pub(super) database_url: Option<String>,
    pub(super) operator_database_url: Option<String>,
    pub(super) amqp_url: Option<String>,
    pub(super) management: Option<Management>,
    pub(super) instances: Vec<Instance>,
}

/// RabbitMQ's management UI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Management {
    pub(super) url: String,
    /// User and password of a server of ours.
    pub(super) login: Option<(String, String)>,
}

/// One replica of a program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) program: Program,
    /// As `producer-api-1`.
    pub(super) name: String,
    pub(super) port: u16,
    /// The process that ran last.
    pub(super) process: Option<ProcessIdentity>,
}

impl State {
    /// The remembered state, if this checkout ever had a stack.
    pub(super) fn load(layout: &Layout) -> anyhow::Result<Option<Self>> {
        let file = layout.state_file();
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
        };
        let advice = || format!("{} is damaged; cargo xtask up --fresh starts over", layout.shown(&file));
        let mut state: Self = serde_json::from_str(&text).with_context(advice)?;
        let boot = this_boot();
        state.session = state.session.filter(|session| session.boot == boot);
        state.make_missing_passwords()?;
        Ok(Some(state))
    }

    /// A new one, with new secrets.
    pub(super) fn new(servers: &Path) -> anyhow::Result<Self> {
        let mut state = Self {
            servers: servers.to_owned(),
            signing_key: secret(32)?,
            operator_password: secret(16)?,
            program_passwords: BTreeMap::new(),
            demo_accounts: BTreeSet::new(),
            session: None,
        };
        state.make_missing_passwords()?;
        Ok(state)
    }

    /// What `program` logs in with at servers of ours.
    pub(super) fn password_of(&self, program: Program) -> &str {
        self.program_passwords.get(program.name()).map_or("", String::as_str)
    }

    fn make_missing_passwords(&mut self) -> anyhow::Result<()> {
        for program in Program::ALL {
            if self.password_of(program).is_empty() {
                self.program_passwords.insert(program.name().to_owned(), secret(16)?);
            }
        }
        Ok(())
    }

    pub(super) fn has_demo_accounts(&self, session: &Session) -> bool {
        self.demo_accounts.contains(session.database())
    }

    pub(super) fn note_demo_accounts(&mut self, session: &Session) {
        self.demo_accounts.insert(session.database().to_owned());
    }

    pub(super) fn save(&self, layout: &Layout) -> anyhow::Result<()> {
        fs::create_dir_all(&layout.stack).context("can't make the stack's folder")?;
        process::write_private(&layout.state_file(), &serde_json::to_string_pretty(self)?)
    }
}

impl Session {
    /// A session with these settings in which nothing runs yet.
    pub(super) fn new(settings: Settings) -> anyhow::Result<Self> {
        Ok(Self {
            id: secret(8)?,
            boot: this_boot(),
            settings,
            replicas: 1,
            stopping: false,
            database_url: None,
            operator_database_url: None,
            amqp_url: None,
            management: None,
            instances: Vec::new(),
        })
    }

    /// Whether mails are put into a folder of ours, because the caller named no place for them.
    pub(super) fn keeps_mail(&self) -> bool {
        !self.settings.has_any(&["EMAIL_BACKEND", "EMAIL_HOST"])
    }

    /// Which database it is, whatever port our own listens on.
    fn database(&self) -> &str {
        match &self.database_url {
            Some(url) if self.settings.has_any(&["DATABASE_URL"]) => url,
            _ => "private",
        }
    }
}

impl Instance {
    /// The process if it still runs.
    pub(super) fn alive(&self) -> Option<ProcessIdentity> {
        self.process.filter(|process| process.is_alive())
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn readiness_url(&self) -> String {
        format!("{}/readyz", self.url())
    }
}

fn this_boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
