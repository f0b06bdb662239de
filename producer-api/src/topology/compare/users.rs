//! Warren's users: whether they may what they should, and no more.

use serde_json::{Value, json};
use shared::broker::rights::Rights;
use shared::role::Role;

use super::different;
use crate::topology::difference::{Difference, Thing};
use crate::topology::found::{FoundPermissions, FoundUsers};

/// Compares those who are there. Where none of them has rights in the virtual host, the programs have other logins, and who
/// is not there can do nothing: neither is a difference.
pub(super) fn differences(found: &FoundUsers) -> Vec<Difference> {
    let is_one_of_ours = |user: &str| Role::ALL.iter().any(|role| role.name() == user);
    if !found.permissions.iter().any(|permissions| is_one_of_ours(&permissions.user)) {
        return Vec::new();
    }
    Role::ALL.into_iter().flat_map(|role| of_role(found, role)).collect()
}

fn of_role(found: &FoundUsers, role: Role) -> Vec<Difference> {
    let Some(user) = found.users.iter().find(|user| user.name == role.name()) else { return Vec::new() };
    let (thing, rights) = (Thing::User { name: user.name.clone() }, Rights::of(role));
    let permissions = found.permissions.iter().find(|permissions| permissions.user == user.name);
    let found_right = |right: fn(&FoundPermissions) -> &String| {
        permissions.map_or(Value::Null, |found| json!(right(found)))
    };
    let set = |tags: &str| if tags.is_empty() { Value::Null } else { json!(tags) };
    let properties = [
        ("tags", set(rights.tags), set(&user.tags())),
        ("configure", json!(rights.configure), found_right(|found| &found.configure)),
        ("write", json!(rights.write), found_right(|found| &found.write)),
        ("read", json!(rights.read), found_right(|found| &found.read)),
    ];
    let mut differences: Vec<Difference> = different(&thing, properties).collect();
    for topics in found.topic_permissions.iter().filter(|topics| topics.user == user.name) {
        let property = format!("topic permissions for {}", topics.exchange);
        let found = json!({ "write": topics.write, "read": topics.read });
        differences.extend(different(&thing, [(property.as_str(), Value::Null, found)]));
    }
    differences
}
