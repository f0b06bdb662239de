//! What wrong secrets are counted for: the name as it was typed, and the address it came from.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use shared::contracts::auth::LimitScope;
use shared::ids::UserId;

/// A key whose wrong secrets are counted; none for the whole world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) scope: LimitScope,
    /// SHA-256: what was typed as a name may be a password.
    pub(super) digest: [u8; 32],
    /// What operators are shown: the account's name if there is one, or the address.
    pub(super) subject: Option<String>,
}

impl Key {
    /// Of a name, whether or not somebody has it. `exists` says so.
    pub(super) fn of_name(name: &str, exists: bool) -> Self {
        let subject = exists.then(|| name.to_owned());
        Self { scope: LimitScope::Account, digest: sha256(name), subject }
    }

    /// Of the account of somebody who is signed in and asked for his password once more. No name has a NUL.
    pub(super) fn of_confirmations(user: UserId) -> Self {
        let subject = Some(format!("user {user}, signed in"));
        Self { scope: LimitScope::Account, digest: sha256(&format!("\0{user}")), subject }
    }

    /// Of a client's address: an IPv4 address, or the /64 of an IPv6 address, which one customer has to himself.
    pub(super) fn of_address(address: IpAddr) -> Self {
        let text = prefix(address);
        Self { scope: LimitScope::Address, digest: sha256(&text), subject: Some(text) }
    }

    /// How its scope is called in the table.
    pub(super) fn kind(&self) -> &'static str {
        kind(self.scope)
    }
}

/// How a scope is called in the table. Keys are locked in the order of these words.
pub(super) fn kind(scope: LimitScope) -> &'static str {
    match scope {
        LimitScope::Account => "account",
        LimitScope::Address => "address",
    }
}

fn prefix(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() & (u128::MAX << 64);
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
    }
}

fn sha256(text: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_counts_for_itself_and_an_ipv6_address_for_its_64() {
        for (address, subject) in [
            ("203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(Key::of_address(address.parse().unwrap()).subject.as_deref(), Some(subject));
        }
    }

    #[test]
    fn a_name_of_nobody_is_kept_as_a_digest_alone_which_is_the_one_of_somebody() {
        let (nobody, somebody) = (Key::of_name("froggly", false), Key::of_name("froggly", true));
        assert_eq!((nobody.subject, somebody.subject.as_deref()), (None, Some("froggly")));
        assert_eq!(nobody.digest, somebody.digest);
        assert_ne!(nobody.digest, Key::of_name("Froggly", false).digest);
    }
}
