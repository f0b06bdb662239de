//! The words of each mail, as text and as HTML. Plain ASCII but for what users are called, so that most mails travel
//! as they are written.

use std::time::Duration;

use askama::Template;

/// The longest name that is shown.
const NAME_CHARS_MAX: usize = 150;

/// A mail's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) subject: &'static str,
    /// Who is greeted; nobody by name, if the name may be a stranger's choice.
    name: Option<String>,
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

/// How a mail may call the account it is about.
///
/// A name is chosen by whoever registers, with anybody's address, and many mail programs make a link of one like
/// `www.evil.example`. So only whoever has proved his address is called by name, and only by one that can be no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account(Option<String>);

impl Account {
    /// The account of this name, in a mail to an address that its user has proved or not.
    pub(super) fn new(username: &str, proved: bool) -> Self {
        let plain = |character: char| character.is_alphanumeric() || "+-_".contains(character);
        let harmless = username.chars().all(plain) && username.chars().count() <= NAME_CHARS_MAX;
        Self((proved && harmless).then(|| username.to_owned()))
    }

    /// Such as `your account "ada"`.
    fn yours(&self) -> String {
        self.0.as_ref().map_or_else(|| "your account".to_owned(), |name| format!("your account \"{name}\""))
    }
}

impl Letter {
    /// Asks whose address it is to confirm it for a new account.
    pub(super) fn verify_email(site: &str, url: String, lasts: Duration) -> Self {
        Self::new("Please confirm your e-mail address", site, None)
            .says(format!(
                "An account at {site} was registered with this e-mail address. Please confirm that the address is \
                 yours:"
            ))
            .links("Confirm this address", url)
            .adds(good_for(lasts))
            .adds("If it was not you, you need not do anything: the address is not confirmed without you.")
    }

    /// Asks whose address it is to confirm that an account may have it.
    pub(super) fn change_email(site: &str, url: String, lasts: Duration) -> Self {
        Self::new("Please confirm your new e-mail address", site, None)
            .says(format!(
                "Somebody with an account at {site} asked for this e-mail address in the place of the present one. \
                 Please confirm that the address is yours:"
            ))
            .links("Confirm this address", url)
            .adds(good_for(lasts))
            .adds("If it was not you, you need not do anything: the account keeps its present address.")
    }

    /// Gives a user a way to choose a new password.
    pub(super) fn reset_password(site: &str, account: Account, url: String, lasts: Duration) -> Self {
        let yours = account.yours();
        Self::new("Choose a new password", site, account.0)
            .says(format!(
                "Somebody, you we hope, asked for a new password for {yours} at {site}. Choose one here:"
            ))
            .links("Choose a new password", url)
            .adds(good_for(lasts))
            .adds(
                "If it was not you, you need not do anything: your password stays as it is. Please do not pass this \
                 link on to anybody.",
            )
    }

    /// Tells a user that his account is to have another address.
    pub(super) fn email_change_requested(site: &str, account: Account) -> Self {
        let yours = capitalised(&account.yours());
        Self::new("Another e-mail address was asked for", site, account.0)
            .says(format!(
                "{yours} at {site} is to have another e-mail address. It was asked for with your password. Until the \
                 new address is confirmed, this one stays in force."
            ))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, somebody knows your password: please log in at {site} and change it at once."
            ))
    }

    /// Tells a user that his account has another address already, at the one before.
    pub(super) fn email_changed(site: &str, account: Account) -> Self {
        let yours = capitalised(&account.yours());
        Self::new("Your e-mail address was changed", site, account.0)
            .says(format!(
                "{yours} at {site} has another e-mail address. It was asked for with your password, and confirmed; this \
                 one is not in force any more."
            ))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, somebody has taken your account over: please write to those who run {site} at once."
            ))
    }

    /// Tells a user that he has another password.
    pub(super) fn password_changed(site: &str, account: Account) -> Self {
        let yours = capitalised(&account.yours());
        Self::new("Your password was changed", site, account.0)
            .says(format!("{yours} at {site} has a new password."))
            .adds("If it was you, you need not do anything.")
            .adds(format!(
                "If it was not you, please ask for a new password at {site} at once, by this e-mail address."
            ))
    }

    /// Tells the owner of an address that a new account was registered with it.
    pub(super) fn address_registered_again(site: &str, owner: Account) -> Self {
        let what = format!("Somebody registered another account at {site} with your e-mail address");
        Self::conflict(site, owner, &what)
    }

    /// Tells the owner of an address that another account wants it.
    pub(super) fn address_wanted(site: &str, owner: Account) -> Self {
        let what = format!("Somebody with another account at {site} asked for your e-mail address");
        Self::conflict(site, owner, &what)
    }

    fn conflict(site: &str, owner: Account, what: &str) -> Self {
        let yours = owner.yours();
        let log_in =
            owner.0.as_ref().map_or_else(|| "log in".to_owned(), |name| format!("log in as \"{name}\""));
        Self::new("Your e-mail address was given by somebody", site, owner.0)
            .says(format!(
                "{what}. It belongs to {yours}, and stays with it: nothing about your account has changed, and nobody \
                 else can confirm the address."
            ))
            .adds(format!(
                "If it was you, you have an account already: {log_in}, or ask for a new password if you have forgotten \
                 it."
            ))
            .adds("If it was not you, you need not do anything.")
    }

    fn new(subject: &'static str, site: &str, name: Option<String>) -> Self {
        let (before, after) = (Vec::new(), Vec::new());
        Self { subject, name, before, link: None, after, site: site.to_owned() }
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

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "https://warren.example";
    const DAY: Duration = Duration::from_hours(24);

    fn url() -> String {
        format!("{SITE}/api/email/verify/?token=abc_-123")
    }

    /// Every mail, in the case that the address is proved and in the other; the links are in the first three.
    fn all(username: &str, proved: bool) -> [Letter; 8] {
        let account = || Account::new(username, proved);
        [
            Letter::verify_email(SITE, url(), DAY),
            Letter::change_email(SITE, url(), DAY),
            Letter::reset_password(SITE, account(), url(), Duration::from_mins(5)),
            Letter::email_change_requested(SITE, account()),
            Letter::email_changed(SITE, account()),
            Letter::password_changed(SITE, account()),
            Letter::address_registered_again(SITE, account()),
            Letter::address_wanted(SITE, account()),
        ]
    }

    #[test]
    fn every_mail_says_where_the_account_is_and_what_to_do_if_it_was_somebody_else() {
        for (proved, letter) in
            [true, false].into_iter().flat_map(|proved| all("ada", proved).map(|l| (proved, l)))
        {
            for part in [letter.text().unwrap(), letter.html().unwrap()] {
                assert!(part.contains(SITE) && part.contains("If it was not you"), "{part}");
                assert!(part.contains("Hello"), "{part}");
                assert!(part.is_ascii(), "{part}");
                assert!(proved || !part.contains("ada"), "{part}");
            }
        }
        for letter in &all("ada", true)[2..] {
            assert!(letter.text().unwrap().starts_with("Hello ada,\n"));
            assert!(letter.html().unwrap().contains("<p>Hello ada,</p>"));
        }
    }

    /// Mail programs make links of what looks like one. Goes red when a stranger gets a link of his into our mail.
    #[test]
    fn no_mail_has_a_link_in_the_name_of_an_account() {
        for name in [
            "www.evil.example",
            "http://evil.example",
            "evil.example",
            "me@evil.example",
            "evil\u{3002}example",
            "//evil",
            "<a href='https://evil.example'>\r\n\r\nBcc: all@example.org\u{202e}\u{2028}",
        ] {
            for letter in all(name, true).iter().chain(&all(name, false)) {
                for part in [letter.text().unwrap(), letter.html().unwrap()] {
                    assert!(!part.contains("evil") && !part.contains("Bcc"), "{part}");
                    assert!(part.contains("Hello,"), "{part}");
                }
            }
        }
        for name in ["ada", "\u{c4}rger-9", "a_b+c"] {
            assert!(all(name, true)[5].text().unwrap().contains(&format!("Your account \"{name}\" at")));
        }
        assert_eq!(Account::new(&"x".repeat(151), true), Account(None));
    }

    #[test]
    fn both_parts_of_a_mail_have_its_link_and_say_how_long_it_is_good() {
        for (letter, lasts) in all("ada", true).iter().zip(["1 day", "1 day", "5 minutes"]) {
            for part in [letter.text().unwrap(), letter.html().unwrap()] {
                assert!(part.contains(&url()), "{part}");
                assert!(part.contains(&format!("good for {lasts} and works once")), "{part}");
            }
        }
        assert!(all("ada", true)[3..].iter().all(|letter| !letter.html().unwrap().contains("href")));
    }

    #[test]
    fn the_text_of_a_mail_reads_well() {
        let text = Letter::reset_password(SITE, Account::new("ada", true), url(), Duration::from_mins(5));
        let text = text.text().unwrap();
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
        assert!(!format!("{:?}", all("ada", true)).contains("abc_-123"));
    }
}
