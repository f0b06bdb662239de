//! Which passwords an account may have: from 8 to 128 characters, none that is common, like its owner's name or address,
//! or soon guessed. No composition rules. `docs/PASSWORDS.md` tells the rules to users and operators.
//!
//! The rules are pure. The last one alone is dear: a hostile password costs it as much time as a hash, so a program that
//! serves others asks [`PasswordHasher::faults_of_new`](super::PasswordHasher::faults_of_new), which judges on the
//! hashing pool.

mod common_passwords;
mod guessing;
mod personal_words;

pub use personal_words::PersonalWords;

pub(super) use guessing::guessing_fault;

const CHARACTERS_MIN: usize = 8;
const CHARACTERS_MAX: usize = 128;

/// What is wrong with a new password of this account, as messages for its field; empty if nothing is. The messages are
/// Django's where Django has the rule.
pub fn password_faults(password: &str, about: &PersonalWords) -> Vec<String> {
    let faults = faults_at_sight(password, about);
    if faults.is_empty() { guessing_fault(password, about).into_iter().collect() } else { faults }
}

/// The rules that cost next to nothing.
pub(super) fn faults_at_sight(password: &str, about: &PersonalWords) -> Vec<String> {
    let characters = password.chars().count();
    let mut faults = Vec::new();
    if stripped(password) != password {
        // Login trims, as SimpleJWT does: such a password could never log in.
        faults.push("This password may not begin or end with white space.".to_owned());
    }
    if characters > CHARACTERS_MAX {
        faults.push(format!("Ensure this field has no more than {CHARACTERS_MAX} characters."));
        // Nobody's patience is spent on a megabyte.
        return faults;
    }
    if let Some(attribute) = about.attribute_like(password) {
        faults.push(format!("The password is too similar to the {attribute}."));
    }
    if characters < CHARACTERS_MIN {
        faults.push(format!(
            "This password is too short. It must contain at least {CHARACTERS_MIN} characters."
        ));
    }
    if common_passwords::contain(password) {
        faults.push("This password is too common.".to_owned());
    }
    faults
}

/// What Python strips, and so login: Unicode's white space and the four separators U+001C to U+001F.
fn stripped(text: &str) -> &str {
    text.trim_matches(|character: char| {
        character.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&character)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn froggly() -> PersonalWords {
        PersonalWords {
            username: "froggly".to_owned(),
            email: "f.green@lily-pad.example".to_owned(),
            first_name: "Frederick".to_owned(),
            last_name: "Greenwood".to_owned(),
        }
    }

    fn of_froggly(password: &str) -> Vec<String> {
        password_faults(password, &froggly())
    }

    #[test]
    fn good_passwords_of_any_script_and_shape_pass() {
        for password in [
            "correct horse battery",
            "kq7xpz2m",
            "x7!kPq2z",
            "ёжик-в-тумане",
            "gänseblümchen",
            "🐸🦆🌾🪷🐝🌧🪨🌊",
            "Tr0ub4dor&3",
            "no upper no digit no sign",
            &"correct horse battery staple ".repeat(5)[..128],
        ] {
            assert_eq!(of_froggly(password), [""; 0], "{password}");
        }
    }

    #[test]
    fn the_demo_accounts_have_passwords_that_pass() {
        // `cargo xtask up` takes a refusal for "the name is taken" and goes on without the account.
        for (username, password) in [("admin", "warren-admin-demo"), ("bianca", "warren-bianca-demo")] {
            let (username, email) = (username.to_owned(), format!("{username}@example.com"));
            let about = PersonalWords { username, email, ..PersonalWords::default() };
            assert_eq!(password_faults(password, &about), [""; 0]);
        }
    }

    #[test]
    fn each_rule_says_why_in_djangos_words_where_it_has_them() {
        const SHORT: &str = "This password is too short. It must contain at least 8 characters.";
        const LONG: &str = "Ensure this field has no more than 128 characters.";
        const OUTER: &str = "This password may not begin or end with white space.";
        const COMMON: &str = "This password is too common.";
        for (password, faults) in [
            ("kq7xpz2", &[SHORT][..]),
            ("жжжёёё!", &[SHORT]),
            (&*"x".repeat(129), &[LONG]),
            (&*" ".repeat(129), &[OUTER, LONG]),
            (" correct horse battery", &[OUTER]),
            ("correct horse battery\u{a0}", &[OUTER]),
            ("correct horse battery\u{1f}", &[OUTER]),
            ("sunshine", &[COMMON]),
            ("SunShine", &[COMMON]),
            ("qwerty", &[SHORT, COMMON]),
            (" qwerty", &[OUTER, SHORT, COMMON]),
            ("frogglY1", &["The password is too similar to the username."]),
            ("frogg", &["The password is too similar to the username.", SHORT]),
            ("frederick!", &["The password is too similar to the first name."]),
            ("DoowneerG", &["The password is too similar to the last name."]),
            ("f.green@lily-pad", &["The password is too similar to the email address."]),
            ("zxcvbnm,./asdf", &["This password is too weak: straight rows of keys are easy to guess."]),
            (
                "frederickgreenwood",
                &["This password is too weak: add another word or two. Uncommon words are better."],
            ),
        ] {
            assert_eq!(of_froggly(password), faults, "{password}");
        }
    }

    #[test]
    fn every_common_password_is_refused_as_such_in_small_letters_and_in_capitals() {
        let mut seen = 0;
        for password in common_passwords::all() {
            for written in [password.to_owned(), password.to_uppercase()] {
                // "ß" and its like have capitals that don't lead back; Django lets those through as well.
                if written.to_lowercase() == password {
                    let faults = faults_at_sight(&written, &PersonalWords::default());
                    assert!(faults.contains(&"This password is too common.".to_owned()), "{written}");
                }
            }
            seen += 1;
        }
        assert_eq!(seen, 19_640);
    }

    fn anything() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            proptest::collection::vec(any::<char>(), 0..140)
                .prop_map(|characters| characters.into_iter().collect()),
            "[ -~]{0,140}",
            "(abc|123|[4@8({\\[<369&#!1/|0$5+7%2]|İ|\u{1c}| ){0,60}",
        ]
    }

    proptest! {
        #[test]
        fn no_password_and_no_owner_is_too_strange_to_be_judged(
            password in anything(), username in anything(), email in anything(), first_name in anything(),
            last_name in anything(),
        ) {
            let about = PersonalWords { username, email, first_name, last_name };
            let faults = password_faults(&password, &about);
            let characters = password.chars().count();
            prop_assert!(!faults.is_empty() || (8..=128).contains(&characters));
            prop_assert!(!faults.is_empty() || stripped(&password) == password);
            prop_assert!(!faults.is_empty() || !password_faults(&password, &PersonalWords {
                username: password.clone(), ..PersonalWords::default()
            }).is_empty(), "nobody's name is his password");
        }

        #[test]
        fn no_outer_white_space_passes_however_good_what_it_surrounds(
            before in "[\\s\u{1c}-\u{1f}]{0,3}", after in "[\\s\u{1c}-\u{1f}]{0,3}",
        ) {
            let faults = of_froggly(&format!("{before}correct horse battery{after}"));
            prop_assert_eq!(faults.is_empty(), before.is_empty() && after.is_empty());
        }
    }
}
