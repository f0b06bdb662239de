//! A row judged against what is there already: made, left alone or refused. A pure room.

use std::collections::HashMap;

use super::user::ImportedUser;

/// What becomes of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Insert,
    Unchanged,
    Refused(String),
}

/// The names and ids that are taken, in the database or by an earlier row.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// By name: the id, none where the database will draw it.
    ids: HashMap<String, Option<i64>>,
    names: HashMap<i64, String>,
}

impl Taken {
    /// Notes that `username` has `id`.
    pub(super) fn add(&mut self, username: &str, id: Option<i64>) {
        self.ids.insert(username.to_owned(), id);
        if let Some(id) = id {
            self.names.insert(id, username.to_owned());
        }
    }

    /// Decides about a row and, if an account is to be made of it, notes its name and id.
    pub(super) fn decide(&mut self, user: &ImportedUser) -> Decision {
        let decision = self.judge(&user.username, user.id);
        if decision == Decision::Insert {
            self.add(&user.username, user.id);
        }
        decision
    }

    fn judge(&self, username: &str, id: Option<i64>) -> Decision {
        match (self.ids.get(username), id) {
            // The account may have another password and another address by now: never overwritten.
            (Some(_), None) => Decision::Unchanged,
            (Some(taken), Some(id)) if *taken == Some(id) => Decision::Unchanged,
            (Some(Some(taken)), Some(_)) => {
                Decision::Refused(format!("the username is taken under id {taken}"))
            }
            (Some(None), Some(_)) => {
                Decision::Refused("an earlier row has this username and no id".to_owned())
            }
            (None, Some(id)) => match self.names.get(&id) {
                Some(other) => Decision::Refused(format!("the id is taken by {other:?}")),
                None => Decision::Insert,
            },
            (None, None) => Decision::Insert,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_made_once_and_never_over_another() {
        let mut taken = Taken::default();
        taken.add("froggly", Some(7));
        taken.add("drawn", None);
        let refused = |reason: &str| Decision::Refused(reason.to_owned());
        for (username, id, decision) in [
            ("new", None, Decision::Insert),
            ("new", Some(8), Decision::Insert),
            ("froggly", Some(7), Decision::Unchanged),
            ("froggly", None, Decision::Unchanged),
            ("drawn", None, Decision::Unchanged),
            ("froggly", Some(8), refused("the username is taken under id 7")),
            ("drawn", Some(8), refused("an earlier row has this username and no id")),
            ("new", Some(7), refused(r#"the id is taken by "froggly""#)),
            ("Froggly", Some(7), refused(r#"the id is taken by "froggly""#)),
        ] {
            assert_eq!(taken.judge(username, id), decision, "{username} {id:?}");
        }
    }
}
