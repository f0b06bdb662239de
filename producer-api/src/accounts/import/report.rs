//! What an import did, as it is printed. Never a hash.

use std::fmt;

use super::addresses::NotVerified;
use super::user::Who;
use crate::credentials::Unverifiable;

/// How many lines of each kind are kept: a source that is wrong altogether must not fill the memory.
const LINES_MAX: usize = 10_000;
/// No username is longer; a refused one may be.
const USERNAME_CHARACTERS_SHOWN: usize = 150;

/// What an import did, or would do.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Accounts that were made.
    pub imported: u64,
    /// Accounts that were there already and were left as they are.
    pub unchanged: u64,
    /// Objects of other models that were passed over.
    pub other_models: u64,
    /// Tokens, where the source has any.
    pub tokens: Option<TokenCounts>,
    /// Addresses that count as verified from now on, where that was wanted.
    pub verified: Option<u64>,
    /// Whether nothing was written.
    pub dry_run: bool,
    refused: Lines,
    no_login: Lines,
    not_verified: Lines,
}

/// What became of Django's refresh tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Tokens that were entered.
    pub outstanding: u64,
    /// Tokens that are blacklisted from now on.
    pub blacklisted: u64,
    /// Tokens that were there already.
    pub unchanged: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Lines {
    count: u64,
    kept: Vec<String>,
}

impl Lines {
    fn add(&mut self, who: &Who, reason: &dyn fmt::Display) {
        self.count += 1;
        if self.kept.len() < LINES_MAX {
            self.kept.push(format!("{who}: {reason}"));
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kept.iter().try_for_each(|line| writeln!(formatter, "  {line}"))?;
        match self.count.saturating_sub(self.kept.len() as u64) {
            0 => Ok(()),
            more => writeln!(formatter, "  and {more} more"),
        }
    }
}

impl Report {
    /// Notes a row that was refused.
    pub(super) fn refuse(&mut self, who: &Who, reason: &str) {
        self.refused.add(who, &reason);
    }

    /// Notes an account that was made and that nobody can log in to.
    pub(super) fn no_login(&mut self, who: &Who, reason: Unverifiable) {
        self.no_login.add(who, &reason);
    }

    /// Notes an account that is here and whose address does not count as verified.
    pub(super) fn not_verified(&mut self, who: &Who, reason: NotVerified) {
        self.not_verified.add(who, &reason);
    }

    /// How many rows were refused.
    pub fn refused(&self) -> u64 {
        self.refused.count
    }

    /// The lines about refused rows.
    pub fn refusals(&self) -> &[String] {
        &self.refused.kept
    }
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "row {}", self.row)?;
        let id = self.id.map(|id| format!("id {id}"));
        // Anybody's text: control characters are escaped, and it is cut.
        let shown =
            |name: &String| format!("{:?}", name.chars().take(USERNAME_CHARACTERS_SHOWN).collect::<String>());
        let known: Vec<String> = id.into_iter().chain(self.username.as_ref().map(shown)).collect();
        if known.is_empty() { Ok(()) } else { write!(formatter, " ({})", known.join(", ")) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            imported,
            unchanged,
            other_models,
            tokens,
            verified,
            dry_run,
            refused,
            no_login,
            not_verified,
        } = self;
        let colon = if refused.count > 0 { ":" } else { "" };
        writeln!(formatter, "imported {imported}, unchanged {unchanged}, refused {}{colon}", refused.count)?;
        write!(formatter, "{refused}")?;
        if no_login.count > 0 {
            writeln!(
                formatter,
                "imported, but can't log in until the password is reset: {}:",
                no_login.count
            )?;
            write!(formatter, "{no_login}")?;
        }
        if let Some(verified) = verified {
            let colon = if not_verified.count > 0 { ":" } else { "" };
            writeln!(
                formatter,
                "addresses: verified {verified}, not verified {}{colon}",
                not_verified.count
            )?;
            write!(formatter, "{not_verified}")?;
        }
        if let Some(TokenCounts { outstanding, blacklisted, unchanged }) = tokens {
            writeln!(
                formatter,
                "tokens: imported {outstanding}, unchanged {unchanged}, newly blacklisted {blacklisted}"
            )?;
        }
        if *other_models > 0 {
            writeln!(
                formatter,
                "passed over {other_models} objects of other models (--model names the users')"
            )?;
        }
        if *dry_run { writeln!(formatter, "dry run: nothing was changed") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_done_and_names_every_refused_row_on_one_line() {
        let mut report = Report { imported: 3, unchanged: 1, ..Report::default() };
        assert_eq!(report.to_string(), "imported 3, unchanged 1, refused 0\n");
        let who = Who { row: 4, id: Some(7), username: Some("b\nob".to_owned()) };
        report.refuse(&who, "the username is taken under id 9");
        report.refuse(&Who { row: 5, id: None, username: None }, "it is no JSON");
        report.no_login(&who, Unverifiable::Unknown);
        report.verified = Some(1);
        report.not_verified(&who, NotVerified::Anothers);
        report.tokens = Some(TokenCounts { outstanding: 2, blacklisted: 1, unchanged: 5 });
        report.other_models = 6;
        report.dry_run = true;
        assert_eq!(
            report.to_string(),
            "imported 3, unchanged 1, refused 2:\n  \
             row 4 (id 7, \"b\\nob\"): the username is taken under id 9\n  row 5: it is no JSON\n\
             imported, but can't log in until the password is reset: 1:\n  \
             row 4 (id 7, \"b\\nob\"): its password is hashed by an algorithm that can't be checked\n\
             addresses: verified 1, not verified 1:\n  \
             row 4 (id 7, \"b\\nob\"): another account has this address verified\n\
             tokens: imported 2, unchanged 5, newly blacklisted 1\n\
             passed over 6 objects of other models (--model names the users')\n\
             dry run: nothing was changed\n"
        );
    }

    #[test]
    fn a_source_that_is_wrong_altogether_does_not_fill_the_memory() {
        let mut report = Report::default();
        for row in 1..=10_002 {
            report.refuse(&Who { row, id: None, username: None }, "no");
        }
        assert_eq!((report.refused(), report.refusals().len()), (10_002, 10_000));
        assert!(report.to_string().ends_with("and 2 more\n"));
    }
}
