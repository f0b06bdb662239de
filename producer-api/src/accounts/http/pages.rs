//! The pages behind mailed links. They load nothing, run no script, and no other site may frame them.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use shared::entropy::Entropy;

use super::password::field_problem;
use crate::accounts::LinkError;
use crate::problem::Problem;

/// What a link that is no good is answered with, whatever is wrong with it.
pub(super) const LINK_REFUSED: &str = "This link is not valid any more. Ask for a new one.";

/// A page.
#[derive(Debug, Clone, Copy)]
pub(super) enum Page<'a> {
    /// Asks to press a button, which proves the address.
    VerifyEmail { token: &'a str },
    /// The address is proved.
    EmailVerified,
    /// Asks for a new password, with what was wrong with the last one.
    ResetPassword { token: &'a str, faults: &'a [String] },
    /// There is a new password.
    PasswordReset,
    /// The link is no good.
    LinkRefused,
}

#[derive(Template)]
#[template(path = "page.html")]
struct Document<'a> {
    nonce: &'a str,
    title: &'a str,
    text: &'a str,
    faults: &'a [String],
    form: Option<Form<'a>>,
}

struct Form<'a> {
    token: &'a str,
    asks_password: bool,
    button: &'a str,
}

impl Page<'_> {
    /// The page as an answer.
    pub(super) fn render(self, status: StatusCode, entropy: &Entropy) -> Response {
        let nonce = URL_SAFE_NO_PAD.encode(entropy.bytes::<16>());
        let document: Document<'_> = self.document(&nonce);
        match document.render() {
            Ok(html) => (status, headers(&nonce), Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page can't be rendered");
                Problem::internal().into_response()
            }
        }
    }

    fn document<'b>(self, nonce: &'b str) -> Document<'b>
    where
        Self: 'b,
    {
        let (title, text, faults, form) = match self {
            Page::VerifyEmail { token } => (
                "Verify your address",
                "Press the button to confirm that this mailbox is yours.",
                &[][..],
                Some(Form { token, asks_password: false, button: "Verify address" }),
            ),
            Page::EmailVerified => {
                ("Your address is verified", "Thank you. You can close this page.", &[][..], None)
            }
            Page::ResetPassword { token, faults } => (
                "Choose a new password",
                "At least 8 characters. Every device that is logged in will be logged out.",
                faults,
                Some(Form { token, asks_password: true, button: "Set password" }),
            ),
            Page::PasswordReset => (
                "Your password is changed",
                "Log in with the new one. You can close this page.",
                &[][..],
                None,
            ),
            Page::LinkRefused => ("This link is not valid any more", "Ask for a new one.", &[][..], None),
        };
        Document { nonce, title, text, faults, form }
    }
}

fn headers(nonce: &str) -> HeaderMap {
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    // A nonce is base64: it always makes a header.
    HeaderValue::from_str(&policy)
        .map(|policy| HeaderMap::from_iter([(header::CONTENT_SECURITY_POLICY, policy)]))
        .unwrap_or_default()
}

/// What a link says behind `token`; empty if it says nothing.
pub(super) fn token_of(query: Option<String>) -> String {
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    token.map(|(_, token)| token.into_owned()).unwrap_or_default()
}

/// What a link that did nothing is answered with.
pub(super) fn link_problem(error: LinkError) -> Problem {
    match error {
        LinkError::Refused => field_problem("token", &[LINK_REFUSED.to_owned()]),
        LinkError::Fault(fault) => fault.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_says_is_shown_as_text_and_nothing_else() {
        let token = r#""><script>alert(1)</script>"#;
        let faults = ["<b>no</b>".to_owned()];
        let html = Page::ResetPassword { token, faults: &faults }.document("n").render().unwrap();
        assert!(!html.contains("<script") && !html.contains("<b>no"), "{html}");
        assert_eq!(html.matches("<form").count(), 1);
    }

    #[test]
    fn the_token_of_a_link_is_decoded() {
        assert_eq!(token_of(Some("a=1&token=x%2By&token=z".to_owned())), "x+y");
        assert_eq!(token_of(Some("tokens=x".to_owned())), "");
        assert_eq!(token_of(None), "");
    }
}
