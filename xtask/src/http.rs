//! Short HTTP requests to servers on this machine.

use std::time::Duration;

use ureq::Agent;

/// A client for short requests: no proxy, and an error status is an answer like any other.
pub fn client(timeout: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into()
}

/// True if `GET url` answers 200.
pub fn is_ok(url: &str) -> bool {
    client(Duration::from_secs(2)).get(url).call().is_ok_and(|response| response.status() == 200)
}

/// True if `GET url` with this login answers 200.
pub fn is_ok_with_login(url: &str, user: &str, password: &str) -> bool {
    let mut login = String::from("Basic ");
    base64(format!("{user}:{password}").as_bytes(), &mut login);
    let request = client(Duration::from_secs(5)).get(url).header("Authorization", login);
    request.call().is_ok_and(|response| response.status() == 200)
}

fn base64(bytes: &[u8], text: &mut String) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[group >> (18 - 6 * place) & 63];
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_as_it_should() {
        for (plain, expected) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            let mut text = String::new();
            base64(plain.as_bytes(), &mut text);
            assert_eq!(text, expected);
        }
    }
}
