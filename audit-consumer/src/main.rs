//! Chooses the command.

use std::process::ExitCode;

use audit_consumer::cli::CommandLine;
use clap::Parser;

fn main() -> ExitCode {
    shared::lifecycle::with_deep_stacks(|| audit_consumer::cli::run(CommandLine::parse()))
}

#[cfg(test)]
mod tests {
    use audit_consumer::cli::CommandLine;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_sound() {
        CommandLine::command().debug_assert();
    }
}
