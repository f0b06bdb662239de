//! `users create-superuser`.

use shared::clock::Clock;
use shared::config::{DatabaseConfig, Reader};
use shared::contracts::Origin;
use shared::database::connect_for_command;
use shared::entropy::Entropy;
use shared::outbox::Outbox;
use shared::telemetry::TraceContext;

use super::{block_on, print};
use crate::accounts::{EmailAddress, NewAccount, RegisterError, Registry, Username, register};
use crate::config::{HashingConfig, PROGRAM, read_superuser_password};
use crate::credentials::{PasswordHasher, PersonalWords, password_faults};

/// Makes the account; `false` if the name is taken. Its event waits in the outbox for a program with a relay.
pub(super) fn create_superuser(mut reader: Reader, username: &str, email: &str) -> anyhow::Result<bool> {
    let username = Username::parse(username);
    let email = EmailAddress::parse(email);
    let password = read_superuser_password(&mut reader);
    let mut refuse = |name: &str, faults: Vec<String>| {
        for fault in faults {
            reader.problem(format!("{name}: {fault}"));
        }
    };
    username.as_ref().err().into_iter().for_each(|faults| refuse("--username", faults.clone()));
    email.as_ref().err().into_iter().for_each(|faults| refuse("--email", faults.clone()));
    if !password.expose().is_empty() {
        let about = PersonalWords {
            username: username.as_ref().map(Username::as_str).unwrap_or_default().to_owned(),
            email: email.as_ref().map(EmailAddress::as_str).unwrap_or_default().to_owned(),
            ..PersonalWords::default()
        };
        refuse("SUPERUSER_PASSWORD", password_faults(password.expose(), &about));
    }
    let database = DatabaseConfig::read(&mut reader);
    let hashing = HashingConfig::read(&mut reader);
    let (database, hashing) = reader.finish((database, hashing))?;
    let (Ok(username), Ok(email)) = (username, email) else {
        anyhow::bail!("the name or the address is wrong")
    };
    let account = NewAccount { username, email, password: password.expose().to_owned(), is_superuser: true };
    block_on(make(database, hashing, account))
}

async fn make(database: DatabaseConfig, hashing: HashingConfig, account: NewAccount) -> anyhow::Result<bool> {
    let (clock, entropy) = (Clock::system(), Entropy::system());
    let pool = connect_for_command(&database, PROGRAM).await?;
    let outbox = Outbox::new(PROGRAM, clock.clone(), entropy.clone());
    let hasher = PasswordHasher::new(&hashing, entropy.clone())?;
    let registry = Registry {
        database: &pool,
        outbox: &outbox,
        hasher: &hasher,
        clock: &clock,
        entropy: &entropy,
        limits: None,
    };
    let username = account.username.as_str().to_owned();
    match register(registry, Origin::default(), &TraceContext::new(&entropy), account).await {
        Ok(registered) => {
            print(&format!("made superuser {username} with id {}\n", registered.user_id))?;
            Ok(true)
        }
        Err(RegisterError::UsernameTaken) => {
            print(&format!("{username} is there already; nothing was changed\n"))?;
            Ok(false)
        }
        Err(RegisterError::Fault(fault)) => Err(fault.into()),
        Err(error @ RegisterError::Limited { .. }) => Err(error.into()),
    }
}
