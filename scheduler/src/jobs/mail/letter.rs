//! The words of each mail, as text and as HTML. Plain ASCII but for what users are called, so that most mails travel
//! as they are written.

use std::time::Duration;

use askama::Template;

/// The longest name that is shown; an imported one may be anything.
const NAME_CHARS_MAX: usize = 150;

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: &'static str,
    /// Who is greeted.
    name: String,
    /// What happened, before the link.
    before: Vec<String>,
    link: Option<Link>,
    /// What to do.
    after: Vec<String>,
    /// Which Warren writes.
    site: String,
}

/// The link of a mail, and the word to click on.
#[derive(Clone, PartialEq, Eq)]
struct Link {
    label: &'static str,
    url: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its URL opens a door.
        formatter.debug_struct("Link").field("label", &self.label).finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "letter.txt")]
struct TextPart<'a> {
    letter: &'a Letter,
}

#[derive(Template)]
#[template(path = "letter.html")]
struct HtmlPart<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// Asks whose address it is to confirm it for a new account.
    pub(super) fn verify_email(site: &str, username: &str, url: String, lasts: Duration) -> Self {
        let name = shown(username);
        Self::new("Please confirm your e-mail address", site, &name)
            .says(format!(
                "The account \"{name}\" at {site} was registered with this e-mail address. Please confirm that the \
                 address is yours:"
            ))
            .links("Confirm this address", url)
            .adds(good_for(lasts))
            .adds("If it was not you, you need not do anything: the address is not confirmed without you.")
    }

    /// Asks whose address it is to confirm that an account may have it.
    pub(super) fn change_email(site: &str, username: &str, url: String, lasts: Duration) -> Self {
        let name = shown(username);
        Self::new("Please confirm your new e-mail address", site, &name)
            .says(format!(
                "The user \"{name}\" at {site} asked for this e-mail address in the place of the present one. Please \
                 confirm that the address is yours:"
            ))
            .links("Confirm this address", url)
            .adds(good_for(lasts))
            .adds("If it was not you, you need not do anything: the account keeps its present address.")
    }

    /// Gives a user a way to choose a new password.
    pub(super) fn reset_password(site: &str, username: &str, url: String, lasts: Duration) -> Self {
        let name = shown(username);
        Self::new("Choose a new password", site, &name)
            .says(format!(
                "Somebody, you we hope, asked for a new password for your account \"{name}\" at {site}. Choose one \
                 here:"
            ))
            .links("Choose a new password", url)
            .adds(good_for(lasts))
            .adds(
                "If it was not you, you need not do anything: your password stays as it is. Please do not pass this \
                 link on to anybody.",
            )
    }

    /// Tells a user that his account is to have another address.
    pub(super) fn email_change_requested(site: &str, username: &str) -> Self {
        let name = shown(username);
        Self::new("Another e-mail address was asked for", site, &name)
            .says(format!(
                "Your account \"{name}\" at {site} is to have another e-mail address. It was asked for with your \
                 password. Until the new address is confirmed, this one stays in force."
            ))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, somebody knows your password: please log in at {site} and change it at once."
            ))
    }

    /// Tells a user that his account has another address already, at the one before.
    pub(super) fn email_changed(site: &str, username: &str) -> Self {
        let name = shown(username);
        Self::new("Your e-mail address was changed", site, &name)
            .says(format!(
                "Your account \"{name}\" at {site} has another e-mail address. It was asked for with your password, and \
                 confirmed; this one is not in force any more."
            ))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, somebody has taken your account over: please write to those who run {site} at once."
            ))
    }

    /// Tells a user that he has another password.
    pub(super) fn password_changed(site: &str, username: &str) -> Self {
        let name = shown(username);
        Self::new("Your password was changed", site, &name)
            .says(format!("Your account \"{name}\" at {site} has a new password."))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, please ask for a new password at {site} at once, by this e-mail address."
            ))
    }

    /// Tells the owner of an address that a new account was registered with it.
    pub(super) fn address_registered_again(site: &str, owner: &str, other: &str) -> Self {
        let other = shown(other);
        Self::conflict(
            site,
            owner,
            &format!("Somebody registered the account \"{other}\" at {site} with your e-mail address"),
        )
    }

    /// Tells the owner of an address that another account wants it.
    pub(super) fn address_wanted(site: &str, owner: &str, other: &str) -> Self {
        let other = shown(other);
        Self::conflict(
            site,
            owner,
            &format!(
                "The user \"{other}\" at {site} asked for your e-mail address as that of another account"
            ),
        )
    }

    fn conflict(site: &str, owner: &str, what: &str) -> Self {
        let name = shown(owner);
        Self::new("Your e-mail address was given by somebody", site, &name)
            .says(format!(
                "{what}. It belongs to your account \"{name}\", and stays with it: nothing about your account has \
                 changed, and nobody else can confirm the address."
            ))
            .adds(format!(
                "If it was you, you have an account already: log in as \"{name}\", or ask for a new password if you \
                 have forgotten it."
            ))
            .adds("If it was not you, you need not do anything.")
    }

    fn new(subject: &'static str, site: &str, name: &str) -> Self {
        let (before, after) = (Vec::new(), Vec::new());
        Self { subject, name: name.to_owned(), before, link: None, after, site: site.to_owned() }
    }

    fn says(mut self, paragraph: String) -> Self {
        self.before.push(paragraph);
        self
    }

    fn links(self, label: &'static str, url: String) -> Self {
        Self { link: Some(Link { label, url }), ..self }
    }

    fn adds(mut self, paragraph: impl Into<String>) -> Self {
        self.after.push(paragraph.into());
        self
    }

    /// The part for readers without HTML.
    pub(super) fn text(&self) -> Result<String, askama::Error> {
        TextPart { letter: self }.render()
    }

    /// The part for all others; whatever a user wrote is escaped.
    pub(super) fn html(&self) -> Result<String, askama::Error> {
        HtmlPart { letter: self }.render()
    }
}

fn good_for(lasts: Duration) -> String {
    format!("The link is good for {} and works once.", in_words(lasts))
}

/// A duration in the largest unit that holds it whole.
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs().max(1);
    let (count, unit) = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")]
        .into_iter()
        .find(|(size, _)| seconds.is_multiple_of(*size))
        .map_or((seconds, "second"), |(size, unit)| (seconds / size, unit));
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A username as it may stand within a line: nothing that breaks one, hides or turns around.
fn shown(username: &str) -> String {
    let harmless = |character: char| {
        let turns =
            matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns || character == '\u{feff}' { '\u{fffd}' } else { character }
    };
    username.chars().take(NAME_CHARS_MAX).map(harmless).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://warren.example";
    const DAY: Duration = Duration::from_hours(24);

    fn url() -> String {
        format!("{SITE}/api/email/verify/?token=abc_-123")
    }

    fn all(username: &str) -> [Letter; 8] {
        [
            Letter::verify_email(SITE, username, url(), DAY),
            Letter::change_email(SITE, username, url(), DAY),
            Letter::reset_password(SITE, username, url(), Duration::from_mins(5)),
            Letter::email_change_requested(SITE, username),
            Letter::email_changed(SITE, username),
            Letter::password_changed(SITE, username),
            Letter::address_registered_again(SITE, username, "eve"),
            Letter::address_wanted(SITE, username, "eve"),
        ]
    }

    #[test]
    fn every_mail_says_whose_account_it_is_and_what_to_do_if_it_was_somebody_else() {
        for letter in all("ada") {
            for part in [letter.text().unwrap(), letter.html().unwrap()] {
                assert!(part.contains("ada") && part.contains(SITE), "{part}");
                assert!(part.contains("If it was not you"), "{part}");
                assert!(part.is_ascii(), "{part}");
            }
        }
    }

    #[test]
    fn both_parts_of_a_mail_have_its_link_and_say_how_long_it_is_good() {
        for (letter, lasts) in all("ada").iter().zip(["1 day", "1 day", "5 minutes"]) {
            for part in [letter.text().unwrap(), letter.html().unwrap()] {
                assert!(part.contains(&url()), "{part}");
                assert!(part.contains(&format!("good for {lasts} and works once")), "{part}");
            }
        }
        assert!(all("ada")[3..].iter().all(|letter| !letter.html().unwrap().contains("href")));
    }

    #[test]
    fn the_text_of_a_mail_reads_well() {
        let text = Letter::reset_password(SITE, "ada", url(), Duration::from_mins(5)).text().unwrap();
        assert_eq!(
            text,
            "Hello ada,\n\n\
             Somebody, you we hope, asked for a new password for your account \"ada\" at https://warren.example. \
             Choose one here:\n\n\
             https://warren.example/api/email/verify/?token=abc_-123\n\n\
             The link is good for 5 minutes and works once.\n\n\
             If it was not you, you need not do anything: your password stays as it is. Please do not pass this link \
             on to anybody.\n\n\
             -- \n\
             Warren at https://warren.example\n\
             This mail was sent by itself; answers are not read.\n"
        );
    }

    #[test]
    fn a_name_can_bring_neither_html_nor_lines_of_its_own() {
        let name = "<a href='https://evil.example'>\r\n\r\nBcc: all@example.org\u{202e}\u{2028}";
        for letter in all(name) {
            let (text, html) = (letter.text().unwrap(), letter.html().unwrap());
            assert!(!html.contains("<a href='") && !html.contains("evil.example'>"), "{html}");
            for part in [text, html] {
                assert!(!part.contains('\r') && !part.contains("\nBcc"), "{part}");
                assert!(!part.contains('\u{202e}') && !part.contains('\u{2028}'), "{part}");
            }
        }
        assert_eq!(shown(&"x".repeat(1_000)).len(), NAME_CHARS_MAX);
    }

    #[test]
    fn durations_are_said_in_whole_units() {
        for (seconds, words) in [
            (86_400, "1 day"),
            (172_800, "2 days"),
            (5_400, "90 minutes"),
            (3_600, "1 hour"),
            (90, "90 seconds"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
        assert_eq!(in_words(Duration::from_millis(500)), "1 second");
    }

    #[test]
    fn a_link_is_not_shown_by_accident() {
        assert!(!format!("{:?}", all("ada")).contains("abc_-123"));
    }
}
