//! What a method of an endpoint takes and gives.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::answer::{Answer, example, reference};
use super::fields::Field;
use crate::middleware::Endpoint;
use crate::problem::Problem;

const MULTIPART: &str = "multipart/form-data";

/// The media types of bodies that the extractor reads; whether each is JSON.
const MEDIA_TYPES: [(&str, bool); 3] =
    [("application/json", true), ("application/x-www-form-urlencoded", false), (MULTIPART, false)];

/// A method of an endpoint. What can happen to any request of its kind need not be said.
#[derive(Debug, Clone)]
pub struct Operation {
    pub(super) endpoint: &'static Endpoint,
    pub(super) method: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: String,
    pub(super) parameters: Vec<Value>,
    pub(super) fields: Option<Vec<Field>>,
    pub(super) answers: BTreeMap<u16, Answer>,
    pub(super) problems: Vec<(&'static str, Problem)>,
    pub(super) may_sign_in: bool,
    json_only: bool,
    pub(super) schemas: Vec<(String, Value)>,
}

impl Operation {
    /// `method` of `endpoint`. `id` is unique, and stable: generators call functions after it.
    pub fn new(
        (tag, endpoint): (&'static str, &'static Endpoint),
        method: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            endpoint,
            method,
            id,
            tag,
            summary,
            description: endpoint.description.to_owned(),
            parameters: Vec::new(),
            fields: None,
            answers: BTreeMap::new(),
            problems: Vec::new(),
            may_sign_in: false,
            json_only: false,
            schemas: Vec::new(),
        }
    }

    /// More than its endpoint says of itself.
    #[must_use]
    pub fn describe(mut self, words: &str) -> Self {
        words.clone_into(&mut self.description);
        self
    }

    /// A parameter in the path.
    #[must_use]
    pub fn path(self, name: &str, schema: &Value, words: &str) -> Self {
        self.parameter("path", name, schema, words)
    }

    /// A parameter of the query, never required.
    #[must_use]
    pub fn query(self, name: &str, schema: &Value, words: &str) -> Self {
        self.parameter("query", name, schema, words)
    }

    /// A header of the request, never required.
    #[must_use]
    pub fn request_header(self, name: &str, schema: &Value, words: &str) -> Self {
        self.parameter("header", name, schema, words)
    }

    fn parameter(mut self, place: &str, name: &str, schema: &Value, words: &str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": place, "required": place == "path", "schema": schema, "description": words,
        }));
        self
    }

    /// The fields of its body.
    #[must_use]
    pub fn takes(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.fields = Some(fields.into_iter().collect());
        self
    }

    /// Forms are refused.
    #[must_use]
    pub fn json_only(mut self) -> Self {
        self.json_only = true;
        self
    }

    /// A token in the header counts, and is not needed.
    #[must_use]
    pub fn may_sign_in(mut self) -> Self {
        self.may_sign_in = true;
        self
    }

    /// Answers a `T`.
    #[must_use]
    pub fn gives<T: ToSchema>(mut self, status: u16, words: &str, shown: Value) -> Self {
        let schema = self.schema_of::<T>();
        self.gives_body(status, words, "application/json", (schema, Some(shown)))
    }

    /// Answers a bare array of `T`.
    #[must_use]
    pub fn gives_list<T: ToSchema>(mut self, words: &str, length_max: i64, shown: Value) -> Self {
        let items = self.schema_of::<T>();
        let schema = json!({ "type": "array", "items": items, "maxItems": length_max });
        self.gives_body(200, words, "application/json", (schema, Some(shown)))
    }

    /// Answers `{}`.
    #[must_use]
    pub fn gives_empty(self, status: u16, words: &str) -> Self {
        let schema = json!({ "type": "object", "maxProperties": 0 });
        self.gives_body(status, words, "application/json", (schema, Some(json!({}))))
    }

    /// Answers a page.
    #[must_use]
    pub fn gives_page(self, status: u16, words: &str) -> Self {
        self.gives_body(status, words, "text/html", (json!({ "type": "string" }), None))
    }

    /// Answers a body of any media type.
    #[must_use]
    pub fn gives_body(
        mut self,
        status: u16,
        words: &str,
        media_type: &str,
        (schema, shown): (Value, Option<Value>),
    ) -> Self {
        let examples = shown.map_or_else(Map::new, |shown| example("answer", &shown));
        self.answer(status, words).body(media_type, &schema, examples);
        self
    }

    /// Answers with a status alone.
    #[must_use]
    pub fn gives_nothing(mut self, status: u16, words: &str) -> Self {
        self.answer(status, words);
        self
    }

    /// A header that the answer may have.
    #[must_use]
    pub fn with_header(mut self, status: u16, name: &str, schema: &Value, words: &str) -> Self {
        self.answer(status, "").header(name, json!({ "schema": schema, "description": words }));
        self
    }

    /// A header that the answer always has.
    #[must_use]
    pub fn always_with_header(mut self, status: u16, name: &str, schema: &Value, words: &str) -> Self {
        let header = json!({ "required": true, "schema": schema, "description": words });
        self.answer(status, "").header(name, header);
        self
    }

    /// What the answer makes possible: another operation, and which of its parameters (`path.id`) the answer holds where.
    #[must_use]
    pub fn leads_to(mut self, status: u16, id: &str, parameters: &[(&str, &str)]) -> Self {
        let parameters: Map<_, _> =
            parameters.iter().map(|(name, place)| ((*name).to_owned(), json!(place))).collect();
        self.answer(status, "").link(id, json!({ "operationId": id, "parameters": parameters }));
        self
    }

    /// The same where the answer holds what the other operation's body needs.
    #[must_use]
    pub fn leads_to_with_body(mut self, status: u16, id: &str, body: &Value) -> Self {
        self.answer(status, "").link(id, json!({ "operationId": id, "requestBody": body }));
        self
    }

    /// Refuses with this problem; `name` says when.
    #[must_use]
    pub fn refuses(mut self, name: &'static str, problem: Problem) -> Self {
        self.problems.push((name, problem));
        self
    }

    pub(super) fn answer(&mut self, status: u16, words: &str) -> &mut Answer {
        let answer = self.answers.entry(status).or_default();
        if answer.description.is_empty() {
            words.clone_into(&mut answer.description);
        }
        answer
    }

    /// Its body, in each of the three media types.
    pub(super) fn request_body(&self) -> Option<Value> {
        let fields = self.fields.as_ref()?;
        let required: Vec<_> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
        let shown: Map<_, _> =
            fields.iter().map(|field| (field.name.to_owned(), field.example.clone())).collect();
        let content = MEDIA_TYPES.iter().filter(|(_, is_json)| *is_json || !self.json_only).map(
            |(media_type, in_json)| {
                let properties: Map<_, _> =
                    fields.iter().map(|field| (field.name.to_owned(), field.schema(*in_json))).collect();
                let mut schema = json!({ "type": "object", "properties": properties });
                if *media_type == MULTIPART {
                    // A control character in a part's head breaks the form.
                    schema["propertyNames"] =
                        json!({ "pattern": r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]*$" });
                }
                if !required.is_empty() {
                    schema["required"] = json!(required);
                }
                let body =
                    json!({ "schema": schema, "examples": example("request", &Value::Object(shown.clone())) });
                ((*media_type).to_owned(), body)
            },
        );
        let content: Map<_, _> = content.collect();
        Some(json!({ "required": !required.is_empty(), "content": content }))
    }

    fn schema_of<T: ToSchema>(&mut self) -> Value {
        let name = T::name().into_owned();
        let mut schemas = vec![(name.clone(), T::schema())];
        T::schemas(&mut schemas);
        let rendered = |(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default());
        self.schemas.extend(schemas.into_iter().map(rendered));
        reference("schemas", &name)
    }
}
