//! `users disable`, `users enable` and `users set-password`.

use shared::config::Reader;

use super::command_state::CommandConfig;
use super::{block_on, print};
use crate::accounts::{self, SetActive};
use crate::config::read_new_password;
use crate::credentials::password_faults;

/// Switches an account off or on.
pub(super) fn set_active(reader: Reader, username: &str, active: bool) -> anyhow::Result<()> {
    let config = CommandConfig::read(reader)?;
    let verb = if active { "enable" } else { "disable" };
    block_on(async {
        let (state, context) = config.open(&format!("users {verb}")).await?;
        let text = match accounts::set_active(&state, &context, None, username, active).await? {
            SetActive::Unchanged => format!("{username} is {verb}d already; nothing was changed\n"),
            SetActive::Done { .. } if active => format!("enabled {username}\n"),
            SetActive::Done { sessions_ended } => {
                format!("disabled {username}; ended {sessions_ended} session(s)\n")
            }
        };
        print(&text)
    })
}

/// Gives an account the password in `NEW_PASSWORD`.
pub(super) fn set_password(mut reader: Reader, username: &str) -> anyhow::Result<()> {
    let password = read_new_password(&mut reader);
    if !password.expose().is_empty() {
        for fault in password_faults(password.expose()) {
            reader.problem(format!("NEW_PASSWORD: {fault}"));
        }
    }
    let config = CommandConfig::read(reader)?;
    block_on(async {
        let (state, context) = config.open("users set-password").await?;
        let password = password.expose().to_owned();
        let ended = accounts::set_password(&state, &context, username, password).await?;
        print(&format!("{username} has a new password; ended {ended} session(s)\n"))
    })
}
