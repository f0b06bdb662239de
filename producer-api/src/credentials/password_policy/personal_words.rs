//! What is known of an account's owner, and whether a password is like it: the measure of Django's
//! `UserAttributeSimilarityValidator`.

use std::collections::HashMap;

/// From here on a password is too similar; Django's `max_similarity`, in tenths.
const SIMILARITY_TENTHS: usize = 7;

/// A part of fewer characters tells nothing: every password has an "a" or a "co".
const TELLING_CHARACTERS_MIN: usize = 3;

/// Words that the owner of an account is known by, so that others guess them first. Empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonalWords {
    /// The account's name.
    pub username: String,
    /// Its address.
    pub email: String,
    /// The owner's first name.
    pub first_name: String,
    /// The owner's last name.
    pub last_name: String,
}

impl PersonalWords {
    /// What Django calls the first of them that the password is like.
    pub(super) fn attribute_like(&self, password: &str) -> Option<&'static str> {
        let password: Vec<char> = password.to_lowercase().chars().collect();
        self.attributes()
            .into_iter()
            .find(|(_, value)| {
                let value = value.to_lowercase();
                parts(&value).chain([&*value]).any(|part| is_similar(&password, part))
            })
            .map(|(name, _)| name)
    }

    /// Each of them, and the parts of each that tell something: what to try first when guessing.
    pub(super) fn telling_words(&self) -> Vec<&str> {
        let values = self.attributes().map(|(_, value)| value);
        let words = values.into_iter().flat_map(|value| parts(value).chain([value]));
        words.filter(|word| word.chars().count() >= TELLING_CHARACTERS_MIN).collect()
    }

    /// In Django's order, by Django's names.
    fn attributes(&self) -> [(&'static str, &str); 4] {
        [
            ("username", &self.username),
            ("first name", &self.first_name),
            ("last name", &self.last_name),
            ("email address", &self.email),
        ]
    }
}

/// The words of a text: letters, digits and underscores, as in Python's `re.split(r"\W+", …)`.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
        .filter(|part| !part.is_empty())
}

/// Whether twice the characters that both have, whatever their order, are seven tenths of all: Python's
/// `SequenceMatcher.quick_ratio`. As in Django, a part of at most a tenth of the password's length is let be.
fn is_similar(password: &[char], part: &str) -> bool {
    let length = part.chars().count();
    if length == 0 || password.len() >= 10 * length {
        return false;
    }
    let mut unmatched: HashMap<char, usize> = HashMap::new();
    for character in part.chars() {
        *unmatched.entry(character).or_default() += 1;
    }
    let mut shared = 0;
    for character in password {
        if let Some(count) = unmatched.get_mut(character).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    // Whole numbers, where Python divides: 0.7 is no binary fraction, but Django's comparison agrees for every length
    // that a password has.
    2 * shared * 10 >= SIMILARITY_TENTHS * (password.len() + length)
}
