//! What a route tells about itself: its methods, and DRF's answer to OPTIONS.

use axum::http::HeaderValue;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// The order in which DRF lists methods.
const METHOD_ORDER: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// What OPTIONS and `Allow` say of a route.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Its name in words, such as `Token Obtain Pair`.
    pub name: &'static str,
    /// What it does, in a sentence or two.
    pub description: &'static str,
    /// The methods of its handlers; HEAD comes with GET, and OPTIONS always.
    pub methods: &'static [&'static str],
    /// The fields of its body, in order; none if it takes no body.
    pub fields: &'static [EndpointField],
}

/// A field as OPTIONS describes it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EndpointField {
    #[serde(skip)]
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    required: bool,
    read_only: bool,
    label: &'static str,
}

impl EndpointField {
    /// A text that must be sent.
    pub const fn required(name: &'static str, label: &'static str) -> Self {
        Self { name, kind: "string", required: true, read_only: false, label }
    }

    /// Its name in the body.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A text that may be sent.
    pub const fn optional(name: &'static str, label: &'static str) -> Self {
        Self { required: false, ..Self::required(name, label) }
    }

    /// A text that is only answered.
    pub const fn read_only(name: &'static str, label: &'static str) -> Self {
        Self { required: false, read_only: true, ..Self::required(name, label) }
    }

    /// The same field with another of DRF's type words, such as `integer` or `datetime`.
    #[must_use]
    pub const fn of_type(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }
}

impl Endpoint {
    /// The value of `Allow`, such as `GET, POST, HEAD, OPTIONS`.
    pub fn allow(&self) -> HeaderValue {
        let allowed = METHOD_ORDER.into_iter().filter(|method| self.allows(method));
        let list = allowed.collect::<Vec<_>>().join(", ");
        // Method names are plain ASCII, so the list is a header value.
        HeaderValue::try_from(list).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }

    fn allows(&self, method: &str) -> bool {
        let has = |method| self.methods.contains(&method);
        has(method) || method == "OPTIONS" || (method == "HEAD" && has("GET"))
    }

    /// The body of the answer to OPTIONS.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata {
            name: self.name,
            description: self.description,
            renders: ["application/json"],
            parses: ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"],
            actions: Actions(*self),
        }
    }
}

/// DRF's metadata of a view.
#[derive(Serialize)]
pub(super) struct Metadata {
    name: &'static str,
    description: &'static str,
    renders: [&'static str; 1],
    parses: [&'static str; 3],
    #[serde(skip_serializing_if = "Actions::is_empty")]
    actions: Actions,
}

/// The fields under each method that takes a whole body.
struct Actions(Endpoint);

impl Actions {
    fn methods(&self) -> impl Iterator<Item = &'static str> {
        ["PUT", "POST"].into_iter().filter(|method| self.0.methods.contains(method))
    }

    fn is_empty(&self) -> bool {
        self.0.fields.is_empty() || self.methods().next().is_none()
    }
}

impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for method in self.methods() {
            map.serialize_entry(method, &FieldsByName(self.0.fields))?;
        }
        map.end()
    }
}

struct FieldsByName(&'static [EndpointField]);

impl Serialize for FieldsByName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|field| (field.name, field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Endpoint = Endpoint {
        name: "Token Refresh",
        description: "Gives a new access token.",
        methods: &["POST"],
        fields: &[
            EndpointField::required("refresh", "Refresh"),
            EndpointField::read_only("access", "Access"),
        ],
    };

    #[test]
    fn allow_lists_the_methods_in_drfs_order_with_head_beside_get() {
        for (methods, allow) in [
            (&["POST"][..], "POST, OPTIONS"),
            (&["POST", "GET"], "GET, POST, HEAD, OPTIONS"),
            (&["DELETE", "PATCH", "GET", "PUT"], "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
            (&[], "OPTIONS"),
        ] {
            assert_eq!(Endpoint { methods: methods.to_vec().leak(), ..REFRESH }.allow(), allow);
        }
    }

    #[test]
    fn the_metadata_is_drfs() {
        assert_eq!(
            serde_json::to_string(&REFRESH.metadata()).unwrap(),
            concat!(
                r#"{"name":"Token Refresh","description":"Gives a new access token.","renders":["application/json"],"#,
                r#""parses":["application/json","application/x-www-form-urlencoded","multipart/form-data"],"#,
                r#""actions":{"POST":{"refresh":{"type":"string","required":true,"read_only":false,"label":"Refresh"},"#,
                r#""access":{"type":"string","required":false,"read_only":true,"label":"Access"}}}}"#
            )
        );
        let bare = Endpoint { methods: &["GET"], ..REFRESH };
        assert!(!serde_json::to_string(&bare.metadata()).unwrap().contains("actions"));
    }
}
