//! What a mail server said, as it may be kept.

/// The most of a server's words that is kept, in characters.
const REPLY_CHARS_MAX: usize = 500;

/// A server's words without what they may repeat of the mail: operators read them.
pub(super) fn harmless(reply: &str, secret: Option<&str>, address: &str) -> String {
    let mut kept: String = reply.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some(secret) = secret {
        kept = without(&kept, secret, "(secret)");
    }
    kept = without(&kept, address, "(address)");
    kept.chars().take(REPLY_CHARS_MAX).collect()
}

/// `text` with `instead` in the place of `part`, in whatever case it is written.
fn without(text: &str, part: &str, instead: &str) -> String {
    let (lower, part) = (text.to_ascii_lowercase(), part.to_ascii_lowercase());
    let mut kept = String::new();
    let mut from = 0;
    for (at, found) in lower.match_indices(&part) {
        kept.push_str(&text[from..at]);
        kept.push_str(instead);
        from = at + found.len();
    }
    kept + &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_kept_without_address_and_secret() {
        let (secret, address) = (Some("aBc-_9"), "Ada@example.org");
        let reply = "550 <ada@EXAMPLE.org>: \r\nlooks like spam: /?token=aBc-_9\0, ada@example.org";
        assert_eq!(
            harmless(reply, secret, address),
            "550 <(address)>:   looks like spam: /?token=(secret) , (address)"
        );
        assert_eq!(harmless(&"\u{e4}".repeat(1_000), None, address).chars().count(), REPLY_CHARS_MAX);
    }
}
