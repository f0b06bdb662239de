//! Chooses the command.

use std::process::ExitCode;

use clap::Parser;
use producer_api::cli::CommandLine;

fn main() -> ExitCode {
    shared::lifecycle::with_deep_stacks(|| producer_api::cli::run(CommandLine::parse()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use producer_api::cli::CommandLine;

    #[test]
    fn the_command_tree_is_sound() {
        CommandLine::command().debug_assert();
    }
}
