//! What is counted for whom: wrong secrets for the name as it was typed and the address they came from, mails for whoever
//! asks for them and whoever gets them.

use std::net::{IpAddr, Ipv6Addr};

use aws_lc_rs::digest::{SHA256, digest};
use shared::contracts::auth::LimitScope;
use shared::contracts::mail::MailPurpose;
use shared::ids::UserId;

/// What a key is counted as. Keys are locked in the order of the words that the table has for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// Wrong secrets at a name.
    Account,
    /// Wrong secrets from a client's address.
    Address,
    /// Requests for mails, from a client's address or by a user.
    MailAsker,
    /// Requests for mails to an address.
    MailRecipient,
}

impl Kind {
    /// As the table has it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Address => "address",
            Self::MailAsker => "mail_asker",
            Self::MailRecipient => "mail_recipient",
        }
    }

    /// As events have it; none of mails.
    pub(super) const fn scope(self) -> Option<LimitScope> {
        match self {
            Self::Account => Some(LimitScope::Account),
            Self::Address => Some(LimitScope::Address),
            Self::MailAsker | Self::MailRecipient => None,
        }
    }
}

/// A key that is counted; none for the whole world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) kind: Kind,
    /// SHA-256: what was typed as a name may be a password.
    pub(super) digest: [u8; 32],
    /// What operators are shown: the account's name if there is one, or the address.
    pub(super) subject: Option<String>,
}

impl Key {
    /// Of a name, whether or not somebody has it. `exists` says so.
    pub(super) fn of_name(name: &str, exists: bool) -> Self {
        let subject = exists.then(|| name.to_owned());
        Self { kind: Kind::Account, digest: sha256(name), subject }
    }

    /// Of the account of somebody who is signed in and asked for his password once more. No name has a NUL.
    pub(super) fn of_confirmations(user: UserId) -> Self {
        let subject = Some(format!("user {user}, signed in"));
        Self { kind: Kind::Account, digest: sha256(&format!("\0{user}")), subject }
    }

    /// Of a client's address: an IPv4 address, or the /64 of an IPv6 address, which one customer has to himself.
    pub(super) fn of_address(address: IpAddr) -> Self {
        let text = prefix(address);
        Self { kind: Kind::Address, digest: sha256(&text), subject: Some(text) }
    }

    /// Of the mails that are asked for from a client's address, which is taken as [`Key::of_address`] takes it.
    pub(super) fn of_mails_from(address: IpAddr) -> Self {
        Self { kind: Kind::MailAsker, ..Self::of_address(address) }
    }

    /// Of the mails that a user asks for. No address has a NUL.
    pub(super) fn of_mails_by(user: UserId) -> Self {
        Self { kind: Kind::MailAsker, ..Self::of_confirmations(user) }
    }

    /// Of the mails of one purpose to an address, in any case of its letters, whether or not anybody has it.
    pub(super) fn of_mails_to(address: &str, purpose: MailPurpose) -> Self {
        let digest = sha256(&format!("{}\0{}", purpose.as_str(), address.to_lowercase()));
        Self { kind: Kind::MailRecipient, digest, subject: None }
    }
}

/// What one customer has to himself: an IPv4 address, or the first address of the /64 of an IPv6 address.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

fn prefix(address: IpAddr) -> String {
    match network(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => format!("{network}/64"),
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
    fn mails_are_counted_for_an_address_in_any_case_of_its_letters_and_each_purpose_apart() {
        let key = |address| Key::of_mails_to(address, MailPurpose::VerifyEmail);
        assert_eq!(key("Ada@Example.org"), key("ada@example.ORG"));
        assert_ne!(key("ada@example.org"), key("eve@example.org"));
        assert_ne!(key("ada@example.org"), Key::of_mails_to("ada@example.org", MailPurpose::ResetPassword));
    }

    #[test]
    fn whoever_asks_for_mails_is_counted_as_one_by_the_64_of_his_address_and_apart_from_his_wrong_secrets() {
        let from = |address: &str| Key::of_mails_from(address.parse().unwrap());
        assert_eq!(from("2001:db8:1:2::1"), from("2001:db8:1:2:3:4:5:6"));
        assert_ne!(from("2001:db8:1:2::1"), from("2001:db8:1:3::1"));
        assert_ne!(from("203.0.113.7"), Key::of_address("203.0.113.7".parse().unwrap()));
    }

    #[test]
    fn a_name_of_nobody_is_kept_as_a_digest_alone_which_is_the_one_of_somebody() {
        let (nobody, somebody) = (Key::of_name("froggly", false), Key::of_name("froggly", true));
        assert_eq!((nobody.subject, somebody.subject.as_deref()), (None, Some("froggly")));
        assert_eq!(nobody.digest, somebody.digest);
        assert_ne!(nobody.digest, Key::of_name("Froggly", false).digest);
    }
}
