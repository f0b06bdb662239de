//! `tokens mint`.

use serde_json::json;
use shared::config::Reader;

use super::command_state::CommandConfig;
use super::{block_on, print};
use crate::sessions::{Tokens, Wanted, mint_tokens};

/// Begins a session of a user and prints its tokens as the API would answer them.
pub(super) fn mint(reader: Reader, username: &str, sliding: bool) -> anyhow::Result<()> {
    let config = CommandConfig::read(reader)?;
    block_on(async {
        let (state, context) = config.open("tokens mint").await?;
        let wanted = if sliding { Wanted::Sliding } else { Wanted::Pair };
        let Tokens { refresh, access } = mint_tokens(&state, &context, username, wanted).await?;
        let body = match access {
            Some(access) => json!({ "refresh": refresh, "access": access }),
            None => json!({ "token": refresh }),
        };
        print(&format!("{body}\n"))
    })
}
