//! The attached `up`: all logs as one stream, and a word when something ends, until Ctrl-C.

use std::collections::BTreeMap;

use super::{
    down,
    layout::Layout,
    lock::StackLock,
    logs::{LogStream, PACE, Start},
    servers,
    state::{Session, State},
};
use crate::{
    console::Console,
    interrupt::{self, Interrupted},
    process::Process,
    servers::server_in,
    wait,
};

/// How many looks at the logs go by until the next look at what other commands have started or stopped.
const LOOKS_PER_STATE: u32 = 5;

/// Follows one session.
pub(super) struct Follower<'a> {
    console: &'a Console,
    layout: &'a Layout,
    session: String,
    stream: LogStream,
    processes: BTreeMap<String, Process>,
}

impl<'a> Follower<'a> {
    /// Begins where the logs end now; what is written from here on is shown later.
    pub(super) fn new(console: &'a Console, layout: &'a Layout, session: &str) -> Self {
        let mut stream = LogStream::new(console);
        stream.discover(&layout.logs(), Start::AtEnd, |_| true);
        Self { console, layout, session: session.to_owned(), stream, processes: BTreeMap::new() }
    }

    /// Follows until Ctrl-C, which stops the whole stack, or until another command has stopped it.
    pub(super) fn follow_until_stopped(mut self, started: BTreeMap<String, Process>) -> anyhow::Result<()> {
        self.processes = started;
        loop {
            self.stream.discover(&self.layout.logs(), Start::AtBeginning, |_| true);
            self.stream.show_new_lines();
            if interrupt::requested() {
                return self.stop();
            }
            let Some((state, session)) = self.current_session()? else {
                self.console.step("another command has stopped the stack");
                return Ok(());
            };
            self.adopt_new(&state, &session);
            self.report_ends(&session);
            for _ in 0..LOOKS_PER_STATE {
                if interrupt::requested() {
                    break;
                }
                wait::a_moment(PACE);
                self.stream.show_new_lines();
            }
        }
    }

    fn stop(mut self) -> anyhow::Result<()> {
        let _lock = StackLock::take_to_stop(self.layout)?;
        if self.current_session()?.is_some() {
            down::stop_everything(self.console, self.layout)?;
        }
        self.stream.show_new_lines();
        Err(Interrupted.into())
    }

    fn current_session(&self) -> anyhow::Result<Option<(State, Session)>> {
        let Some(mut state) = State::load(self.layout)? else { return Ok(None) };
        let session = state.session.take().filter(|session| session.id == self.session);
        Ok(session.map(|session| (state, session)))
    }

    /// Takes up processes that another command has started since.
    fn adopt_new(&mut self, state: &State, session: &Session) {
        let programs = session.instances.iter().map(|instance| (instance.name.as_str(), instance.alive()));
        let servers =
            [servers::POSTGRES, servers::RABBITMQ].map(|name| (name, server_in(&state.servers.join(name))));
        for (name, alive) in programs.chain(servers) {
            let Some(process) = alive.filter(|_| !self.processes.contains_key(name)).and_then(Process::adopt)
            else {
                continue;
            };
            self.processes.insert(name.to_owned(), process);
        }
    }

    /// Says what has ended, and reaps it.
    fn report_ends(&mut self, session: &Session) {
        let stream = &self.stream;
        self.processes.retain(|name, process| {
            let Some(exit) = process.exit() else { return true };
            // The port mapper goes and comes with its node.
            if !session.stopping && name != servers::PORT_MAPPER {
                let hint = "start it again with: cargo xtask up --detach (in another terminal)";
                stream.show(name, &format!("*** {}; {hint}", exit.in_words()));
            }
            false
        });
    }
}
