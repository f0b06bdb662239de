//! Looks at a virtual host and compares it with what the code says.

use super::compare::differences;
use super::difference::{Difference, Finding, Thing};
use super::management::{Management, ManagementError};

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// Everything that differs.
    pub differences: Vec<Difference>,
    /// Whether the users could be looked at, which takes an administrator.
    pub saw_users: bool,
}

/// Looks and compares; `also` names what of others may be there.
pub async fn check(management: &Management, also: &[String]) -> Result<Checked, ManagementError> {
    if let Some(found) = management.look().await? {
        return Ok(Checked { differences: differences(&found, also), saw_users: found.users.is_some() });
    }
    let thing = Thing::VirtualHost { name: management.virtual_host().to_owned() };
    // Nobody may do anything where nothing is.
    Ok(Checked { differences: vec![Difference { thing, finding: Finding::Missing }], saw_users: true })
}
