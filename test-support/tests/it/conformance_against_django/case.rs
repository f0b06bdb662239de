//! One request, and what we answer where that is not what SimpleJWT answers.

/// A request to both servers.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// What is looked at, in words.
    pub(super) what: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    pub(super) ours: Option<Ours>,
}

/// A difference on purpose.
#[derive(Debug, Clone)]
pub(super) struct Ours {
    /// Where the contract says so.
    pub(super) why: &'static str,
    pub(super) status: u16,
    pub(super) body: String,
    /// Whether the peer answers something else here, so that the mark is a fault once both agree.
    pub(super) differs: bool,
}

/// The media type of most bodies.
pub(super) const JSON: &str = "application/json";

impl Case {
    /// A request without a body.
    pub(super) fn new(what: impl Into<String>, method: &str, path: &str) -> Self {
        Self {
            what: what.into(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            ours: None,
        }
    }

    /// A POST of a JSON text.
    pub(super) fn post(what: impl Into<String>, path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new(what, "POST", path).body(JSON, body)
    }

    /// A GET of the protected route with a token.
    pub(super) fn tasks(what: impl Into<String>, token: &str) -> Self {
        Self::new(what, "GET", "/api/tasks/").header("authorization", format!("Bearer {token}"))
    }

    /// A token to one of the routes: in the body, or for the protected one in the header.
    pub(super) fn token(what: impl Into<String>, path: &str, token: &str) -> Self {
        match field_of(path) {
            Some(field) => Self::post(what, path, serde_json::json!({ field: token }).to_string()),
            None => Self::tasks(what, token),
        }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn body(mut self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        if !content_type.is_empty() {
            self = self.header("content-type", content_type);
        }
        self.body = body.into();
        self
    }

    /// We answer this instead of what SimpleJWT answers.
    pub(super) fn ours(mut self, why: &'static str, status: u16, body: impl Into<String>) -> Self {
        self.ours = Some(Ours { why, status, body: body.into(), differs: true });
        self
    }

    /// We answer this, and now and then SimpleJWT answers the same.
    pub(super) fn ours_anyway(self, why: &'static str, status: u16, body: impl Into<String>) -> Self {
        let mut case = self.ours(why, status, body);
        case.ours = case.ours.map(|ours| Ours { differs: false, ..ours });
        case
    }

    /// We refuse the token with this text instead.
    pub(super) fn ours_refuses(self, why: &'static str, text: &str) -> Self {
        let body = if field_of(&self.path).is_some() { refused(text) } else { not_valid(text) };
        self.ours(why, 401, body)
    }

    /// The same on the two routes that look a refresh token up on the blacklist.
    pub(super) fn ours_refuses_looking_up(self, why: &'static str, text: &str) -> Self {
        let looked_up = matches!(self.path.as_str(), "/api/token/refresh/" | "/api/token/blacklist/");
        if looked_up { self.ours_refuses(why, text) } else { self }
    }
}

/// The member that holds the token; none on the protected route.
pub(super) fn field_of(path: &str) -> Option<&'static str> {
    match path {
        "/api/token/verify/" | "/api/token/sliding/refresh/" => Some("token"),
        "/api/token/refresh/" | "/api/token/blacklist/" => Some("refresh"),
        _ => None,
    }
}

/// The contract's body `C`.
pub(super) fn refused(text: &str) -> String {
    format!(r#"{{"detail":"{text}","code":"token_not_valid"}}"#)
}

/// The protected route's shape of the same, with one class of tokens.
pub(super) fn not_valid(text: &str) -> String {
    let message = format!(r#"{{"token_class":"AccessToken","token_type":"access","message":"{text}"}}"#);
    let detail = "Given token not valid for any token type";
    format!(r#"{{"detail":"{detail}","code":"token_not_valid","messages":[{message}]}}"#)
}
