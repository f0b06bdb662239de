//! The cookie with the refresh token of a browser's session.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

use super::PATH;

/// How the cookie is written. No script reads it, and no other site's request carries it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefreshCookie {
    is_secure: bool,
}

impl RefreshCookie {
    /// For a page at this address: where that is HTTPS, the cookie is never sent over plain HTTP.
    pub fn for_page_at(public_url: &str) -> Self {
        Self { is_secure: public_url.starts_with("https://") }
    }

    /// A browser takes the prefix from HTTPS alone: whoever can forge plain HTTP can't plant a cookie of this name.
    fn name(self) -> &'static str {
        if self.is_secure { "__Secure-warren_refresh" } else { "warren_refresh" }
    }

    /// The token in a request's cookies; of several the first, as browsers send the one of the longest path first.
    pub(super) fn read(self, headers: &HeaderMap) -> Option<String> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, token) = pairs.find(|(name, token)| *name == self.name() && !token.is_empty())?;
        Some(token.to_owned())
    }

    /// Sets it. It outlives the browser, as long as its token does at the most.
    pub(super) fn set(self, token: &str, lifetime: Duration) -> HeaderMap {
        self.header(token, lifetime.as_secs())
    }

    /// Takes it away.
    pub(super) fn clear(self) -> HeaderMap {
        self.header("", 0)
    }

    fn header(self, token: &str, seconds: u64) -> HeaderMap {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = self.name();
        let text =
            format!("{name}={token}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        // A token is base64 and dots: it always makes a header.
        let value = HeaderValue::try_from(text).map(|mut value| {
            value.set_sensitive(true);
            (header::SET_COOKIE, value)
        });
        HeaderMap::from_iter(value.ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: RefreshCookie = RefreshCookie { is_secure: false };

    fn written(cookie: RefreshCookie) -> String {
        let headers = cookie.set("a.b.c", Duration::from_hours(24));
        headers[header::SET_COOKIE].to_str().unwrap().to_owned()
    }

    #[test]
    fn no_script_reads_it_and_no_other_site_sends_it() {
        assert_eq!(
            written(RefreshCookie::for_page_at("http://127.0.0.1:8000")),
            "warren_refresh=a.b.c; Path=/real_data; Max-Age=86400; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            written(RefreshCookie::for_page_at("https://warren.example/base")),
            "__Secure-warren_refresh=a.b.c; Path=/real_data; Max-Age=86400; HttpOnly; SameSite=Strict; Secure"
        );
        assert!(
            PLAIN.clear()[header::SET_COOKIE]
                .to_str()
                .unwrap()
                .starts_with("warren_refresh=; Path=/real_data; Max-Age=0;")
        );
        assert!(!format!("{:?}", PLAIN.set("a.b.c", Duration::from_secs(1))).contains("a.b.c"));
    }

    #[test]
    fn it_is_found_among_the_cookies_of_others() {
        let read = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
            }
            PLAIN.read(&headers)
        };
        assert_eq!(read(&["theme=dark; warren_refresh=a.b.c; x=y"]).as_deref(), Some("a.b.c"));
        assert_eq!(read(&["theme=dark", "warren_refresh=a.b.c"]).as_deref(), Some("a.b.c"));
        for lines in [
            &[][..],
            &["warren_refresh="],
            &["not_warren_refresh=a"],
            &["warren_refresh"],
            &["__Secure-warren_refresh=a"],
        ] {
            assert_eq!(read(lines), None, "{lines:?}");
        }
    }
}
