//! How a request shows its token, as the settings have it.

use serde_json::{Value, json};

use crate::config::TokensConfig;

/// The scheme's name in the document.
pub(super) const NAME: &str = "accessToken";

/// Which header holds the token, and which word stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecurityScheme {
    header: String,
    words: Vec<String>,
    marks_passwords: bool,
}

impl SecurityScheme {
    /// What the settings say.
    pub fn of(config: &TokensConfig) -> Self {
        Self {
            header: config.auth_header_name.as_str().to_owned(),
            words: config.auth_header_types.clone(),
            marks_passwords: config.check_revoke_token,
        }
    }

    /// The word before a token.
    pub(super) fn word(&self) -> &str {
        self.words.first().map_or("Bearer", String::as_str)
    }

    /// Whether a token is refused once its user has another password.
    pub(super) fn marks_passwords(&self) -> bool {
        self.marks_passwords
    }

    /// OpenAPI's own bearer scheme if it is that, else a header with a value of ours. `x-token-prefix` is what the page
    /// puts before a token that it was given.
    pub(super) fn render(&self) -> Value {
        let sentence = "An access token of POST /api/login/ or POST /api/token/. It is good for some minutes; \
                        POST /api/token/refresh/ gives the next one.";
        if self.header == "authorization" && self.words.iter().any(|word| word == "Bearer") {
            return json!({
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": sentence, "x-token-prefix": "",
            });
        }
        let word = self.word();
        json!({
            "type": "apiKey", "in": "header", "name": self.header, "x-token-prefix": format!("{word} "),
            "description": format!("The word {word}, a space, and a token: \"{word} <token>\". {sentence}"),
        })
    }
}
