//! `users list`.

use shared::config::Reader;
use shared::database::connect_for_command;
use shared::operator::{columns, instant, json_lines};

use super::{block_on, print, read_database};
use crate::accounts::staff::{Page, User, list_users as list_page};
use crate::config::PROGRAM;

/// How many accounts are read at once.
const PAGE: u16 = 1_000;

/// Lists all accounts; as JSON page by page, however many they are.
pub(super) fn list_users(reader: Reader, json: bool) -> anyhow::Result<()> {
    let config = read_database(reader)?;
    block_on(async {
        let database = connect_for_command(&config, PROGRAM).await?;
        let (mut after, mut rows) = (None, Vec::new());
        loop {
            let Page { users, next } = list_page(&database, after, PAGE).await?;
            if json {
                print(&json_lines(&users)?)?;
            } else {
                rows.extend(users.iter().map(row));
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        if !json {
            let titles = ["ID", "USERNAME", "EMAIL", "VERIFIED", "ACTIVE", "RIGHTS", "JOINED", "LAST LOGIN"];
            print(&columns(titles, &rows))?;
        }
        Ok(())
    })
}

fn row(user: &User) -> [String; 8] {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rights = match (user.is_superuser, user.is_staff) {
        (true, _) => "superuser",
        (false, true) => "staff",
        (false, false) => "",
    };
    [
        user.id.to_string(),
        user.username.clone(),
        user.email.clone(),
        yes(user.email_verified),
        yes(user.is_active),
        rights.to_owned(),
        instant(user.date_joined),
        user.last_login.map(instant).unwrap_or_default(),
    ]
}
