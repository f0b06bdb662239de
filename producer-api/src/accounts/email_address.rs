//! An e-mail address: Django's idea of one, near enough that a mail can be tried. Whether it reaches anybody only a
//! mail can tell.

const CHARACTERS_MAX: usize = 254;
const LABEL_BYTES_MAX: usize = 63;

/// An address that looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks an address: `local@domain`, the domain with a dot.
    ///
    /// # Errors
    /// The messages for its field, in Django's words.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let well_formed =
            text.rsplit_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain));
        if !well_formed {
            faults.push("Enter a valid email address.".to_owned());
        }
        if text.chars().count() > CHARACTERS_MAX {
            faults.push(format!("Ensure this field has no more than {CHARACTERS_MAX} characters."));
        }
        if faults.is_empty() { Ok(Self(text.to_owned())) } else { Err(faults) }
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Words of the characters RFC 5322 calls atoms, joined by single dots.
fn is_local_part(local: &str) -> bool {
    let atom = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
    local.split('.').all(|word| !word.is_empty() && word.bytes().all(atom))
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|character| character.is_alphanumeric() || character == '-')
    };
    domain.contains('.') && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_local_part_and_a_domain_with_a_dot() {
        for address in ["a@b.co", "first.last+tag@example.com", "x@bücher.example", "o'neil@mail.example.org"]
        {
            assert!(EmailAddress::parse(address).is_ok(), "{address}");
        }
        let long = format!("a@{}.com", "x".repeat(64));
        for address in
            ["", "a", "a@", "@b.co", "a@b", "a b@c.de", "a..b@c.de", "a@-b.co", "a@b..co", "a\n@b.co", &long]
        {
            assert!(EmailAddress::parse(address).is_err(), "{address}");
        }
    }
}
