//! The most frequent passwords of the world's leaks: Django's list, the same that Django's own services refuse by.
//!
//! `common_passwords.txt` is `django/contrib/auth/common-passwords.txt.gz` of Django 5.2.19 (Royce Williams's list of
//! 20,000, lower-cased and without doubles), sorted by bytes, one a line; `common_passwords.LICENSE` is its licence. It
//! is searched where it lies in the binary: no start, no heap.

const SORTED: &str = include_str!("common_passwords.txt");

/// Whether the password is one of them, in any mixture of small letters and capitals, and within any white space.
pub(super) fn contain(password: &str) -> bool {
    let password = password.to_lowercase();
    let password = super::stripped(&password);
    let (mut from, mut to) = (0, SORTED.len());
    while from < to {
        // The line in which the middle lies; `from` is always the start of a line and `to` the start of another.
        let middle = usize::midpoint(from, to);
        let start = SORTED.as_bytes()[from..middle].iter().rposition(|&byte| byte == b'\n');
        let start = start.map_or(from, |newline| from + newline + 1);
        let line = SORTED[start..].lines().next().unwrap_or_default();
        match line.cmp(password) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => from = start + line.len() + 1,
            std::cmp::Ordering::Greater => to = start,
        }
    }
    false
}

/// All of them.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    SORTED.lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_small_lettered_and_complete() {
        assert!(all().is_sorted_by(|one, next| one < next), "each once, in order");
        assert!(all().all(|password| !password.is_empty() && password.to_lowercase() == password));
        assert!(SORTED.ends_with('\n') && !SORTED.contains('\r'));
        assert_eq!(all().count(), 19_640);
    }

    #[test]
    fn what_is_not_on_the_list_is_not_found() {
        for password in all() {
            assert!(contain(password), "{password}");
            for near in [format!("{password}\u{1}"), format!("\u{1}{password}")] {
                assert!(!contain(&near), "{near}");
            }
        }
        for absent in ["", "\n", "correct horse battery", "password\npassword1", "\u{10ffff}", "\u{1}"] {
            assert!(!contain(absent), "{absent:?}");
        }
    }
}
