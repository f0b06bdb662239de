//! Who acts, when he doesn't say: the system's user on this host.

use nix::unistd::{Uid, User, gethostname};

/// Such as `root@db1`.
pub(super) fn of_this_process() -> String {
    let uid = Uid::effective();
    let name = User::from_uid(uid).ok().flatten().map_or_else(|| format!("uid-{uid}"), |user| user.name);
    let host = gethostname().ok().and_then(|host| host.into_string().ok());
    format!("{name}@{}", host.as_deref().unwrap_or("unknown-host"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn whoever_runs_a_command_has_a_name_and_a_host() {
        let actor = super::of_this_process();
        let (name, host) = actor.split_once('@').unwrap();
        assert!(!name.is_empty() && !host.is_empty(), "{actor}");
    }
}
