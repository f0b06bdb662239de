//! The one place that writes to the terminal: results to stdout, progress and trouble to stderr.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Writes lines for the person or script that called the command.
///
/// Clones write to the same terminal; each line goes out whole, from whichever thread.
#[derive(Clone, Debug)]
pub struct Console {
    colour_out: bool,
    colour_error: bool,
    closed: Arc<AtomicBool>,
}

/// The few colours the commands use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
    Bold,
    Faint,
}

impl Console {
    /// A console for this process, coloured on a terminal unless `NO_COLOR` is set.
    pub fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            colour_out: wanted && io::stdout().is_terminal(),
            colour_error: wanted && io::stderr().is_terminal(),
            closed: Arc::default(),
        }
    }

    /// A result: one line to stdout.
    pub fn line(&self, text: impl Display) {
        if writeln!(io::stdout().lock(), "{text}").is_err() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// What is being done right now: one line to stderr.
    pub fn step(&self, text: impl Display) {
        self.say(Colour::Green, "==>", &text);
    }

    /// A detail of the step before, indented below it: one line to stderr.
    pub fn detail(&self, text: impl Display) {
        self.say(Colour::Faint, "   ", &text);
    }

    /// Something that the reader should know although all goes on: one line to stderr.
    pub fn warn(&self, text: impl Display) {
        self.say(Colour::Yellow, "note:", &text);
    }

    /// What failed, with its causes: to stderr.
    pub fn fail(&self, error: &anyhow::Error) {
        self.say(Colour::Red, "error:", &format_args!("{error:#}"));
    }

    /// `text` in `colour` if stdout shows colours, else as it is.
    pub fn paint(&self, colour: Colour, text: impl Display) -> String {
        paint(self.colour_out, colour, text)
    }

    /// True once stdout's reader has gone away (`cargo xtask logs --follow | head`).
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn say(&self, colour: Colour, mark: &str, text: &dyn Display) {
        let mark = paint(self.colour_error, colour, mark);
        // Nobody is left to tell when stderr itself is gone.
        drop(writeln!(io::stderr().lock(), "{mark} {text}"));
    }
}

impl Default for Console {
    fn default() -> Self {
        Self::new()
    }
}

fn paint(coloured: bool, colour: Colour, text: impl Display) -> String {
    if !coloured {
        return text.to_string();
    }
    let code = match colour {
        Colour::Bold => 1,
        Colour::Faint => 2,
        Colour::Red => 31,
        Colour::Green => 32,
        Colour::Yellow => 33,
        Colour::Blue => 34,
        Colour::Magenta => 35,
        Colour::Cyan => 36,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
