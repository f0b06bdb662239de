//! One answer of an operation: its bodies by media type, its headers, and where it leads.

use serde_json::{Map, Value, json};

/// What an operation answers with one status.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) description: String,
    content: Map<String, Value>,
    headers: Map<String, Value>,
    links: Map<String, Value>,
}

impl Answer {
    pub(super) fn new(description: &str) -> Self {
        Self { description: description.to_owned(), ..Self::default() }
    }

    /// A body of this media type.
    pub(super) fn body(&mut self, media_type: &str, schema: &Value, examples: Map<String, Value>) {
        let mut body = json!({ "schema": schema });
        if !examples.is_empty() {
            body["examples"] = Value::Object(examples);
        }
        self.content.insert(media_type.to_owned(), body);
    }

    /// Takes over the bodies of media types that it has none of, and what is said of it where nothing is.
    pub(super) fn take_bodies(&mut self, other: &mut Self) {
        if self.description.is_empty() {
            self.description = std::mem::take(&mut other.description);
        }
        for (media_type, body) in std::mem::take(&mut other.content) {
            self.content.entry(media_type).or_insert(body);
        }
    }

    pub(super) fn header(&mut self, name: &str, header: Value) {
        self.headers.insert(name.to_owned(), header);
    }

    pub(super) fn link(&mut self, name: &str, link: Value) {
        self.links.insert(name.to_owned(), link);
    }

    pub(super) fn render(self) -> Value {
        let mut rendered = json!({ "description": self.description });
        for (name, members) in [("content", self.content), ("headers", self.headers), ("links", self.links)] {
            if !members.is_empty() {
                rendered[name] = Value::Object(members);
            }
        }
        rendered
    }
}

/// A reference to one of the document's components.
pub(super) fn reference(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

/// One example.
pub(super) fn example(name: &str, value: &Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), json!({ "value": value }))])
}
