//! Whose address counts as verified, where the operator says that the project had them verified. A pure room.

use std::collections::HashSet;
use std::fmt;

use super::store::{Address, Present};
use super::user::{ImportedUser, Who};
use crate::accounts::EmailAddress;

/// An account whose address may count as verified.
pub(super) struct Candidate {
    pub(super) who: Who,
    pub(super) username: String,
    pub(super) email: String,
    is_active: bool,
}

impl Candidate {
    /// An account that is made of a row.
    pub(super) fn new(who: &Who, user: &ImportedUser) -> Self {
        let ImportedUser { username, email, is_active, .. } = user;
        Self { who: who.clone(), username: username.clone(), email: email.clone(), is_active: *is_active }
    }

    /// An account that is here already, if it has the row's id and address and has not verified that. By its name alone it may
    /// be that of a stranger, who registered with somebody's name and address before the import.
    pub(super) fn present(who: &Who, user: &ImportedUser, present: &Present) -> Option<Self> {
        let is_same = user.id == Some(present.id.0) && present.email == user.email;
        let is_one = is_same && !present.email_verified;
        is_one.then(|| Self { is_active: present.is_active, ..Self::new(who, user) })
    }
}

/// Why an address is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotVerified {
    NoAddress,
    NoneThatMailReaches,
    Disabled,
    Anothers,
}

impl fmt::Display for NotVerified {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoAddress => "it has no address",
            Self::NoneThatMailReaches => "its address is none",
            Self::Disabled => "the account is disabled",
            Self::Anothers => "another account has this address verified",
        })
    }
}

/// The addresses that earlier rows have, in small letters.
#[derive(Debug, Default)]
pub(super) struct Verified(HashSet<String>);

impl Verified {
    /// Decides about an account and, if its address counts as verified, notes it: of several that have it, the first.
    pub(super) fn decide(&mut self, candidate: &Candidate, address: &Address) -> Result<(), NotVerified> {
        if candidate.email.is_empty() {
            return Err(NotVerified::NoAddress);
        }
        if EmailAddress::parse(&candidate.email).is_err() {
            return Err(NotVerified::NoneThatMailReaches);
        }
        // Projects that verify addresses have accounts wait for it so: nobody has shown that it is his.
        if !candidate.is_active {
            return Err(NotVerified::Disabled);
        }
        if address.verified || !self.0.insert(address.key.clone()) {
            return Err(NotVerified::Anothers);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_active_accounts_with_one_address_the_first_has_it_verified() {
        let mut verified = Verified::default();
        let mut decide = |email: &str, is_active, taken| {
            let who = Who { row: 1, id: None, username: None };
            let candidate = Candidate { who, username: "a".to_owned(), email: email.to_owned(), is_active };
            verified.decide(&candidate, &Address { key: email.to_lowercase(), verified: taken })
        };
        for (email, is_active, taken, decision) in [
            ("a@example.com", false, false, Err(NotVerified::Disabled)),
            ("A@example.com", true, false, Ok(())),
            ("a@Example.com", true, false, Err(NotVerified::Anothers)),
            ("b@example.com", true, true, Err(NotVerified::Anothers)),
            ("", true, false, Err(NotVerified::NoAddress)),
            ("", false, false, Err(NotVerified::NoAddress)),
            ("somewhere", true, false, Err(NotVerified::NoneThatMailReaches)),
        ] {
            assert_eq!(decide(email, is_active, taken), decision, "{email:?}");
        }
    }
}
