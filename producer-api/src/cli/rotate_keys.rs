//! `keys rotate`.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::contracts::Origin;
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;

use super::{block_on, print};
use crate::config::{PROGRAM, read_tokens};
use crate::tokens::keys::{KeysConfig, Rotated, Rotation, folder_to_rotate, rotate};

/// Adds a signing key to `SIGNING_KEYS_DIR`. Its event waits in the outbox for a program with a relay.
pub(super) fn rotate_keys(mut reader: Reader) -> anyhow::Result<()> {
    let keys = read_tokens(&mut reader).keys;
    let database = DatabaseConfig::read(&mut reader);
    let (database, keys) = reader.finish((database, keys))?;
    folder_to_rotate(&keys)?;
    block_on(run(database, keys))
}

async fn run(database: DatabaseConfig, keys: KeysConfig) -> anyhow::Result<()> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let pool = connect_for_command(&database, PROGRAM).await?;
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
    let rotation = Rotation { database: &pool, outbox: &outbox, clock: &clock, entropy: &entropy };
    let rotated = rotate(rotation, &keys, Origin::default(), &TraceContext::new(&entropy)).await?;
    print(&in_words(&rotated)?)
}

fn in_words(rotated: &Rotated) -> Result<String, std::fmt::Error> {
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut text = format!("made key {}\nit signs from {} on\n", rotated.kid, instant(rotated.signs_from));
    if let Some(until) = rotated.previous_verifies_until {
        writeln!(text, "the key before it verifies until {}", instant(until))?;
    }
    for kid in &rotated.retired {
        writeln!(text, "deleted key {kid}, retired for more than a day")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_since_when_the_new_key_signs_and_until_when_the_old_one_verifies() {
        let at = |seconds: i64| DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap();
        let first = Rotated {
            kid: "new".to_owned(),
            signs_from: at(0),
            previous_verifies_until: None,
            retired: Vec::new(),
        };
        assert_eq!(in_words(&first).unwrap(), "made key new\nit signs from 2026-11-18T11:06:40Z on\n");
        let next =
            Rotated { previous_verifies_until: Some(at(60)), retired: vec!["old".to_owned()], ..first };
        assert_eq!(
            in_words(&next).unwrap(),
            "made key new\nit signs from 2026-11-18T11:06:40Z on\nthe key before it verifies until \
             2026-11-18T11:07:40Z\ndeleted key old, retired for more than a day\n"
        );
    }
}
