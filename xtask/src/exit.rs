//! What a command's exit code says: 0 fine, 1 failed, 2 wrong usage or setting, 130 ended by Ctrl-C.

use std::fmt;

use crate::interrupt;

/// Something failed.
pub const FAILED: u8 = 1;

/// The command line or a setting is wrong; clap uses it as well.
pub const WRONG_USAGE: u8 = 2;

/// Ended by Ctrl-C, as a shell would put it.
pub const INTERRUPTED: u8 = 130;

/// A setting that can't be right, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongSetting(pub String);

impl fmt::Display for WrongSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for WrongSetting {}

/// The exit code for a command that failed so.
pub fn code(error: &anyhow::Error) -> u8 {
    if interrupt::is_interrupted(error) {
        INTERRUPTED
    } else if error.chain().any(<dyn std::error::Error>::is::<WrongSetting>) {
        WRONG_USAGE
    } else {
        FAILED
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_cause_decides_the_code() {
        assert_eq!(code(&anyhow!("broken")), FAILED);
        let wrong = anyhow::Error::from(WrongSetting("PORT is no number".to_owned()));
        assert_eq!(code(&wrong.context("can't start")), WRONG_USAGE);
        let interrupted: anyhow::Result<()> = Err(interrupt::Interrupted.into());
        assert_eq!(code(&interrupted.context("while building").unwrap_err()), INTERRUPTED);
    }
}
