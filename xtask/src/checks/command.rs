//! Runs the commands of a lane; a Ctrl-C ends them.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::process;

/// Runs a command with its output on the terminal; an exit code other than 0 is an error.
pub(super) fn run(command: &mut Command) -> Result<()> {
    let status = process::run(command)?;
    ensure!(status.success(), "{} ended with {status}", shown(command));
    Ok(())
}

/// Runs a command for its effect; what it says matters only if it fails.
pub(super) fn run_quietly(command: &mut Command) -> Result<()> {
    let (status, output) = process::run_to_string(command)?;
    ensure!(status.success(), "{} ended with {status}:\n{output}", shown(command));
    Ok(())
}

/// A command as one would type it, without its environment.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["fmt", "--check"]).env("PASSWORD", "hush");
        assert_eq!(shown(&command), "`cargo fmt --check`");
    }
}
