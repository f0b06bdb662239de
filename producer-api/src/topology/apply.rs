//! Makes a virtual host what the code says: the topology, the users and their rights. May be run again at any time; it
//! deletes nothing and changes no queue or exchange that is there.

use shared::broker::definitions::definitions;
use shared::broker::rights::Rights;
use shared::config::Secret;
use shared::role::Role;

use super::check::check;
use super::difference::Difference;
use super::management::{Management, ManagementError};

/// What was made.
#[derive(Debug)]
pub struct Applied {
    /// Whether the virtual host was not there before.
    pub made_virtual_host: bool,
    /// What became of each user.
    pub users: Vec<(Role, UserApplied)>,
    /// What differs still: what was there before in another shape, and what is others'.
    pub differences: Vec<Difference>,
}

impl Applied {
    /// Whether all of ours is as it should be. What others have beside it is theirs.
    pub fn is_good(&self) -> bool {
        self.differences.iter().all(Difference::is_of_others)
    }
}

/// What became of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserApplied {
    /// He has the password that was given, and his rights.
    WithPassword,
    /// No password was given: he has his rights and tags, and the password he had.
    RightsAlone,
    /// No password was given, and there is no such user.
    NotMade,
}

/// Makes all of it, in an order in which what was made stays useful if a later step fails.
pub async fn apply(
    management: &Management,
    passwords: &[(Role, Secret)],
) -> Result<Applied, ManagementError> {
    let made_virtual_host = management.make_virtual_host().await?;
    management.import(&definitions(management.virtual_host())).await?;
    let mut users = Vec::new();
    for role in Role::ALL {
        let password = passwords.iter().find(|(given, _)| *given == role).map(|(_, password)| password);
        users.push((role, put_user(management, role, password).await?));
    }
    let differences = check(management, &[]).await?.differences;
    Ok(Applied { made_virtual_host, users, differences })
}

async fn put_user(
    management: &Management,
    role: Role,
    password: Option<&Secret>,
) -> Result<UserApplied, ManagementError> {
    let (name, rights) = (role.name(), Rights::of(role));
    let applied = if let Some(password) = password {
        management.put_user(name, password, rights.tags).await?;
        UserApplied::WithPassword
    } else {
        let Some(user) = management.user(name).await? else { return Ok(UserApplied::NotMade) };
        if user.tags() != rights.tags {
            management.put_tags(&user, rights.tags).await?;
        }
        UserApplied::RightsAlone
    };
    management.put_rights(name, &rights).await?;
    Ok(applied)
}
