//! The extractor of a request's body: 415, then 413, then 400, each as DRF says it.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};

use super::fields::Fields;
use super::media_type::{MediaType, latin1};
use super::read::{BodyLimit, Length, PendingBody};
use super::{form, json, multipart};
use crate::problem::Problem;

/// The fields of a JSON object, a form or a multipart form. An empty body of any type has none.
#[derive(Debug)]
pub struct Body(
    /// What was sent.
    pub Fields,
);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let limit = request.extensions().get().copied().unwrap_or_default();
        let (parts, body) = request.into_parts();
        fields(&parts.headers, PendingBody::new(body), limit).await.map(Self)
    }
}

async fn fields(headers: &HeaderMap, mut body: PendingBody, limit: BodyLimit) -> Result<Fields, Problem> {
    if body.length().await? == Length::Zero {
        return Ok(Fields::none());
    }
    let raw = headers.get(header::CONTENT_TYPE).map(latin1).unwrap_or_default();
    let media_type = MediaType::parse(&raw);
    let parser = Parser::choose(&media_type).ok_or_else(|| Problem::unsupported_media_type(&raw))?;
    let bytes = body.read(limit).await?;
    match parser {
        Parser::Json => json::parse(&bytes),
        Parser::Form => form::parse(&bytes),
        Parser::Multipart => multipart::parse(bytes, media_type.parameter("boundary")).await,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parser {
    Json,
    Form,
    Multipart,
}

impl Parser {
    /// The three, in the order in which a wildcard finds them.
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::Json, "application", "json"),
        (Self::Form, "application", "x-www-form-urlencoded"),
        (Self::Multipart, "multipart", "form-data"),
    ];

    /// The first parser that fits, if the charset is one that we read.
    fn choose(media_type: &MediaType) -> Option<Self> {
        let charset = media_type.parameter("charset").map(str::to_ascii_lowercase);
        let readable =
            charset.is_none_or(|name| matches!(name.as_str(), "utf-8" | "utf8" | "us-ascii" | "ascii"));
        let fits = Self::ALL.into_iter().find(|(_, kind, subtype)| media_type.covers(kind, subtype));
        fits.filter(|_| readable).map(|(parser, ..)| parser)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::body::{Body as RawBody, Bytes, HttpBody};
    use axum::http::StatusCode;
    use http_body::Frame;
    use proptest::prelude::*;

    use super::super::FieldCheck;
    use super::*;

    async fn read(content_type: Option<&str>, body: impl Into<RawBody>) -> Result<Fields, Problem> {
        let mut request = Request::post("/?token=query");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        Body::from_request(request.body(body.into()).unwrap(), &()).await.map(|Body(fields)| fields)
    }

    /// A body whose length is not known before it is read, as a chunked one.
    fn chunked(chunks: &'static [&'static str]) -> RawBody {
        RawBody::new(Chunks(chunks.iter()))
    }

    struct Chunks(std::slice::Iter<'static, &'static str>);

    impl HttpBody for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.next().map(|chunk| Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))))
        }
    }

    fn token(fields: &Fields) -> String {
        FieldCheck::new(fields).text("token")
    }

    #[tokio::test]
    async fn each_parser_is_found_by_its_type_whatever_case_and_parameters() {
        let json = r#"{"token": "a"}"#;
        for content_type in [
            "application/json",
            "APPLICATION/Json",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"; x=y",
            "application/json; charset=us-ascii",
            "application/*",
            "*/*",
            "*/json",
            " application/json ",
        ] {
            assert_eq!(token(&read(Some(content_type), json).await.unwrap()), "a", "{content_type}");
        }
        for content_type in
            ["application/x-www-form-urlencoded", "Application/X-WWW-form-urlencoded; charset=UTF-8"]
        {
            assert_eq!(token(&read(Some(content_type), "token=a").await.unwrap()), "a", "{content_type}");
        }
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\na\r\n--b--\r\n";
        for content_type in [
            "multipart/form-data; boundary=b",
            "MULTIPART/Form-Data; BOUNDARY=\"b\"",
            "multipart/*;boundary=b",
        ] {
            assert_eq!(token(&read(Some(content_type), multipart).await.unwrap()), "a", "{content_type}");
        }
    }

    #[tokio::test]
    async fn any_other_type_or_charset_is_415_with_the_raw_header() {
        for content_type in [
            "text/json",
            "application/vnd.api+json",
            "text/plain; charset=utf-8",
            "application/json; charset=latin-1",
            "application/x-www-form-urlencoded; charset=utf-16",
            "json",
            "*",
            "",
        ] {
            let problem = read(Some(content_type), "{}").await.unwrap_err();
            assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
            assert_eq!(problem.detail(), format!("Unsupported media type \"{content_type}\" in request."));
        }
        assert_eq!(read(None, "{}").await.unwrap_err().detail(), "Unsupported media type \"\" in request.");
    }

    #[tokio::test]
    async fn an_empty_body_has_no_fields_whatever_its_type() {
        for content_type in [None, Some("application/json"), Some("text/plain"), Some("multipart/form-data")]
        {
            let fields = read(content_type, "").await.unwrap();
            assert!(fields.get("token").is_none(), "{content_type:?}");
            assert!(read(content_type, chunked(&["", ""])).await.unwrap().get("token").is_none());
        }
    }

    #[tokio::test]
    async fn a_chunked_body_is_read() {
        let body = chunked(&["", "{\"tok", "en\": \"a\"}"]);
        assert_eq!(token(&read(Some("application/json"), body).await.unwrap()), "a");
        let problem = read(Some("text/plain"), chunked(&["x"])).await.unwrap_err();
        assert_eq!(problem.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_413_and_one_at_the_limit_is_read() {
        let limited = async |body: RawBody| {
            let request = Request::post("/").header(header::CONTENT_TYPE, "application/json");
            let request = request.extension(BodyLimit(14)).body(body).unwrap();
            Body::from_request(request, &()).await.map(|_| ()).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(limited(r#"{"token": "a"}"#.into()).await, Ok(()));
        assert_eq!(limited(r#"{"token": "ab"}"#.into()).await, Err(413));
        assert_eq!(limited(chunked(&["{\"token\"", ": \"a\"}"])).await, Ok(()));
        assert_eq!(limited(chunked(&["{\"token\"", ": \"ab\"}"])).await, Err(413));
    }

    #[tokio::test]
    async fn the_type_is_looked_at_before_the_length() {
        let long = "x".repeat(BodyLimit::default().0 + 1);
        assert_eq!(read(Some("text/plain"), long.clone()).await.unwrap_err().status().as_u16(), 415);
        assert_eq!(read(Some("application/json"), long).await.unwrap_err().status().as_u16(), 413);
    }

    #[tokio::test]
    async fn a_token_of_20_000_characters_gets_through() {
        let long = "x".repeat(20_000);
        let fields = read(Some("application/json"), format!(r#"{{"token": "{long}"}}"#)).await.unwrap();
        assert_eq!(token(&fields), long);
    }

    #[tokio::test]
    async fn the_query_string_is_never_looked_at() {
        assert!(read(Some("application/json"), "{}").await.unwrap().get("token").is_none());
    }

    const TYPES: [&str; 4] = [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data",
    ];

    proptest! {
        #[test]
        fn no_body_makes_a_5xx(
            content_type in prop::sample::select(&TYPES[..]),
            body in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                r#"[\[{]{0,3}("[a-z]{0,3}"|[0-9.eE+-]{1,6}|[:,{}\[\] ]|null|true|\\u[d0-9a-f]{4}){0,20}"#
                    .prop_map(String::into_bytes),
                r"(--b|\r\n|Content-Disposition: form-data; name=.token.|[a-z%=&]{1,4}){0,20}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            match runtime.block_on(read(Some(content_type), body)) {
                Ok(fields) => {
                    let mut check = FieldCheck::new(&fields);
                    let _ = (check.text("token"), check.optional_text("a"), check.untrimmed_text("b"));
                    prop_assert!(check.finish().map_or_else(|problem| problem.status() == 400, |()| true));
                }
                Err(problem) => prop_assert_eq!(problem.status(), StatusCode::BAD_REQUEST),
            }
        }
    }
}
