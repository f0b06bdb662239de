//! `tokens inspect`.

use std::io::Read;

use shared::config::Reader;

use super::command_state::CommandConfig;
use super::{block_on, print};
use crate::sessions::inspect;

/// No token is longer.
const TOKEN_BYTES_MAX: u64 = 1 << 20;

/// Reads a token from standard input, where no process list shows it, and prints what it says, what is recorded of it and
/// whether it is good. `false` if it isn't.
pub(super) fn inspect_token(reader: Reader) -> anyhow::Result<bool> {
    let config = CommandConfig::read(reader)?;
    let mut token = String::new();
    std::io::stdin().lock().take(TOKEN_BYTES_MAX).read_to_string(&mut token)?;
    let token = token.trim();
    anyhow::ensure!(
        !token.is_empty(),
        "give the token on standard input, as in `tokens inspect < token.txt`"
    );
    block_on(async {
        let (state, _) = config.open("tokens inspect").await?;
        let inspection = inspect(&state, token).await?;
        print(&format!("{}\n", serde_json::to_string_pretty(&inspection.findings)?))?;
        Ok(inspection.good)
    })
}
