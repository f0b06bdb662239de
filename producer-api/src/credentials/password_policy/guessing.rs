//! How many guesses a password withstands, as zxcvbn counts them: words, names, dates, keyboard rows, repeats and their
//! usual disguises.

use zxcvbn::feedback::Feedback;
use zxcvbn::zxcvbn;

use super::PersonalWords;

/// Fewer are too few. zxcvbn calls a password "safely unguessable" (a score of 3) from 10^8 + 5 guesses; eight random
/// characters, which the length allows, are 10^8 + 1.
const GUESSES_MIN: u64 = 100_000_000;

/// Only the beginning is judged, because the time grows with the square of the length, times a number that is
/// exponential in how many different digits and signs stand for letters: 128 of them take seconds, 18 about as long as
/// a hash. More characters make no password weaker, so none is let through for being long.
const CHARACTERS_JUDGED: usize = 18;

/// Why the password is soon guessed, if it is.
pub(in super::super) fn guessing_fault(password: &str, about: &PersonalWords) -> Option<String> {
    let beginning: String = password.chars().take(CHARACTERS_JUDGED).collect();
    let estimate = zxcvbn(&beginning, &about.telling_words());
    if estimate.guesses() >= GUESSES_MIN {
        return None;
    }
    let reason = estimate.feedback().and_then(reason);
    Some(reason.map_or_else(
        || "This password is too weak.".to_owned(),
        |reason| format!("This password is too weak: {}", begun_small(&reason)),
    ))
}

/// What is wrong with it, or else what would help.
fn reason(feedback: &Feedback) -> Option<String> {
    let warning = feedback.warning().map(|warning| warning.to_string());
    warning.or_else(|| feedback.suggestions().first().map(ToString::to_string))
}

/// A sentence as it goes on after a colon.
fn begun_small(sentence: &str) -> String {
    let mut characters = sentence.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(password: &str) -> Option<String> {
        let about = PersonalWords { username: "froggly".to_owned(), ..PersonalWords::default() };
        guessing_fault(password, &about)
    }

    #[test]
    fn what_guessers_try_first_is_refused_and_eight_random_characters_are_not() {
        for strong in
            ["kq7xpz2m", "x7!kPq2z", "correct horse", "sommerregen", "пароль-8", "warren-admin-demo"]
        {
            assert_eq!(fault(strong), None, "{strong}");
        }
        for (weak, reason) in [
            ("froggly1234", "add another word or two. Uncommon words are better."),
            ("19840612", "dates are often easy to guess."),
            ("P@ssw0rd!", "this is similar to a commonly used password."),
            ("aaaaaaaaaaaa", "repeats like \"aaa\" are easy to guess."),
            ("abcdefghijkl", "sequences like abc or 6543 are easy to guess."),
        ] {
            assert_eq!(fault(weak), Some(format!("This password is too weak: {reason}")), "{weak}");
        }
    }

    #[test]
    fn only_the_beginning_is_judged_so_that_no_password_takes_seconds() {
        assert_eq!(fault("kq7xpz2mkq7xpz2maaaaaaaaaaaaaaaaaaaaaaaa"), None);
        assert!(fault("aaaaaaaaaaaaaaaaaaaakq7xpz2mkq7xpz2m").is_some());
        // Every sign that stands for a letter, 128 of them: unbounded, this alone takes zxcvbn seconds.
        assert_eq!(fault(&"4@8({[</369&#!1/|0$5+7%2/".chars().cycle().take(128).collect::<String>()), None);
    }
}
