//! Bodies: their types, the parsers, the rules of fields; and the methods.

use super::case::{Case, JSON, field_of};

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

/// The endpoints that take a body, with the field whose rules are looked at.
const ENDPOINTS: [(&str, &str); 4] = [
    ("/api/token/", "password"),
    ("/api/token/refresh/", "refresh"),
    ("/api/token/verify/", "token"),
    ("/api/token/blacklist/", "refresh"),
];

/// No body gets further than 401 here: what succeeds is told elsewhere.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (path, field) in ENDPOINTS {
        cases.extend(types(path, field));
        cases.extend(json_texts(path));
        cases.extend(values(path, field));
        cases.extend(methods(path));
    }
    for (path, field) in [ENDPOINTS[0], ENDPOINTS[2]] {
        cases.extend(forms(path, field));
        cases.extend(multipart(path, field));
        cases.extend(paths(path, field));
    }
    cases
}

/// A JSON body that is right but for the token or the password.
fn plausible(path: &str, field: &str) -> String {
    match field_of(path) {
        Some(_) => format!(r#"{{"{field}":"x"}}"#),
        None => format!(r#"{{"username":"nobody","{field}":"x"}}"#),
    }
}

fn types(path: &str, field: &str) -> Vec<Case> {
    let body = plausible(path, field);
    let mut cases: Vec<Case> = [
        "",
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON;charset=\"UTF-8\"",
        "application/json; charset=us-ascii",
        "application/json;",
        "*/*",
        "application/*",
        "*/json",
        "text/plain",
        "text/plain; charset=x",
        "text/json",
        "text/*",
        "application/problem+json",
        "application/vnd.api+json",
        "application/json-seq",
        "json",
        ";",
        "image/png",
    ]
    .into_iter()
    .flat_map(|content_type| {
        let what = format!("the type {content_type:?}");
        [
            Case::new(what.clone(), "POST", path).body(content_type, body.clone()),
            Case::new(format!("{what} without a body"), "POST", path).body(content_type, ""),
        ]
    })
    .collect();
    let unsupported = |charset: &str| {
        let detail = format!(r#"{{"detail":"Unsupported media type \"{charset}\" in request."}}"#);
        Case::new("a charset", "POST", path).body(charset, body.clone()).ours("1.1, charset", 415, detail)
    };
    cases.push(unsupported("application/json; charset=latin-1"));
    cases.push(unsupported("application/json; charset=klingon"));
    for content_type in [FORM, MULTIPART, "multipart/form-data"] {
        cases.push(Case::new("an empty form", "POST", path).body(content_type, ""));
    }
    cases
}

fn json_texts(path: &str) -> Vec<Case> {
    let texts: [&[u8]; 30] = [
        b"{}",
        b" {} ",
        b"\n{\t}\r\n",
        b"[]",
        b"[{}]",
        b"null",
        b"\"text\"",
        b"\"\"",
        b"7",
        b"0",
        b"-7",
        b"1.5",
        b"1e2",
        b"true",
        b"false",
        b"{",
        b"}",
        b"{bad}",
        b"{'a':1}",
        b"{\"a\":1,}",
        b"{\"a\":NaN}",
        b"{\"a\":-Infinity}",
        b"NaN",
        b"{} trailing",
        b"{}{}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"line\nbreak\"}",
        b" ",
    ];
    texts.iter().map(|text| Case::post("a JSON text", path, *text)).collect()
}

fn values(path: &str, field: &str) -> Vec<Case> {
    let long = format!("\"{}\"", "x".repeat(20_000));
    let digits = "9".repeat(400);
    let mut values: Vec<&str> = vec![
        "null",
        r#""""#,
        r#""  \t\n""#,
        r#""\u001c\u001f""#,
        r#""\u0085\u00a0\u2003\u3000""#,
        r#""\u200b""#,
        r#""\ufeff""#,
        "true",
        "false",
        "[]",
        r#"["x"]"#,
        "{}",
        r#"{"a":1}"#,
        "0",
        "123",
        "-1",
        "4.5",
        "1e2",
        "-0.0",
        "1e400",
        r#""a\u0000b""#,
        r#""\u0000""#,
        r#""\ud83d\ude00""#,
        r#""\ud800""#,
        r#""\ude00a""#,
        r#""a\ud83dx""#,
        r#""\ud800\u0000""#,
        r#""ümläut""#,
        r#""Not a valid string.""#,
    ];
    values.push(&long);
    values.push(&digits);
    let around = |value: &str| match field_of(path) {
        Some(_) => format!(r#"{{"email":"a@example.com","{field}":{value}}}"#),
        None => format!(r#"{{"username":"nobody","{field}":{value}}}"#),
    };
    let mut cases: Vec<Case> =
        values.into_iter().map(|value| Case::post("a value", path, around(value))).collect();
    cases.push(Case::post("the last of two", path, format!(r#"{{"{field}":"x","{field}":null}}"#)));
    cases.push(Case::post(
        "other members",
        path,
        r#"{"a":[1,{"b":null}],"username":true,"refresh":[],"token":{}}"#,
    ));
    cases.push(Case::post("a name in capitals", path, format!(r#"{{"{}":"x"}}"#, field.to_uppercase())));
    cases
}

fn methods(path: &str) -> Vec<Case> {
    ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "PROPFIND", "QUERY"]
        .into_iter()
        .flat_map(|method| {
            [
                Case::new("a method", method, path),
                Case::new("a method with a body", method, path).body(JSON, "{"),
                Case::new("a method with an unknown type", method, path).body("text/plain", "x"),
            ]
        })
        // No client may send a body along with these.
        .filter(|case| case.body.is_empty() || !matches!(case.method.as_str(), "HEAD" | "TRACE"))
        .collect()
}

fn forms(path: &str, field: &str) -> Vec<Case> {
    let texts: [&[u8]; 19] = [
        b"username=nobody&password=x&token=x",
        b"username=nobody",
        b"password=&token=",
        b"password&token",
        b"password=+&token=+",
        b"password=%20&token=%20",
        b"password=a&password=&token=a&token=",
        b"password=&password=a&token=&token=a",
        b"password=%00&token=%00",
        b"password=a%00b&token=a%00b&username=a",
        b"password=%ff&token=%ff",
        b"password=\xff&token=\xff",
        b"password=%zz&token=%zz",
        b"password=%&token=%",
        b"&&&",
        b"=x",
        b"username=a;password=b;token=c",
        b"PASSWORD=x&TOKEN=x",
        b"{\"token\":\"x\"}",
    ];
    let mut cases: Vec<Case> =
        texts.iter().map(|text| Case::new("a form", "POST", path).body(FORM, *text)).collect();
    for content_type in
        ["Application/X-WWW-Form-Urlencoded", "application/x-www-form-urlencoded; charset=utf-8"]
    {
        cases.push(Case::new("a form's type", "POST", path).body(content_type, format!("{field}=x")));
    }
    cases
}

fn multipart(path: &str, field: &str) -> Vec<Case> {
    let part = |name: &str, value: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let file = format!(
        "--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nx\r\n"
    );
    let bare = format!("--b\r\nContent-Disposition: form-data; name={field}\r\n\r\nx\r\n--b--\r\n");
    let mut cases: Vec<Case> = [
        format!("{}{}--b--\r\n", part("username", "nobody"), part(field, "x")),
        format!("{}--b--\r\n", part(field, "")),
        format!("{}--b--\r\n", part(field, "   ")),
        format!("{}--b--\r\n", part(field, "a\0b")),
        format!("{}{}--b--\r\n", part(field, "x"), part(field, "")),
        format!("{}{}--b--\r\n", part(field, ""), part(field, "x")),
        format!("{}--b--\r\n", part("other", "x")),
        format!("{file}--b--\r\n"),
        format!("{}{file}--b--\r\n", part(field, "x")),
        format!("{file}{}--b--\r\n", part(field, "x")),
        bare,
        "--b--\r\n".to_owned(),
        format!("preamble\r\n{}--b--\r\nepilogue", part(field, "x")),
    ]
    .into_iter()
    .map(|body| Case::new("a multipart form", "POST", path).body(MULTIPART, body))
    .collect();
    let whole = format!("{}--b--\r\n", part(field, "x"));
    for body in [
        format!("{}--b--", part(field, "x")),
        format!("--b\r\nContent-Disposition: attachment; name=\"{field}\"\r\n\r\nx\r\n--b--\r\n"),
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n"
        ),
        format!(
            "--b\r\nContent-Type: text/plain; charset=latin-1\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\nx\r\n--b--\r\n"
        ),
    ] {
        cases.push(Case::new("a rare multipart form", "POST", path).body(MULTIPART, body));
    }
    for body in [
        "no parts at all".to_owned(),
        format!("{}--b", part(field, "x")),
        part(field, "x"),
        format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n\r\nno end"),
        format!("--b\r\nContent-Disposition: form-data; name=\"{field}\"\r\n"),
        "--b\r\n".to_owned(),
        "--b".to_owned(),
        "--b\r\nno header\r\n\r\n\r\n--b--\r\n".to_owned(),
        "--b\r\n\r\nno header at all\r\n--b--\r\n".to_owned(),
        part(field, "x").replace("\r\n", "\n"),
        format!("--b\nContent-Disposition: form-data; name=\"{field}\"\n\nx\n--b--\n"),
        whole.replace("--b", "--other"),
    ] {
        let case = Case::new("a broken multipart form", "POST", path).body(MULTIPART, body);
        // Django makes of it what it can.
        cases.push(case.ours("0, broken multipart", 400, r#"{"detail":"Multipart form parse error - "}"#));
    }
    for content_type in [
        "multipart/form-data; boundary=\"b\"",
        "multipart/form-data; boundary=b; charset=utf-8",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=b",
    ] {
        let what = format!("the type {content_type:?}");
        cases.push(Case::new(what, "POST", path).body(content_type, whole.clone()));
    }
    cases
}

fn paths(path: &str, field: &str) -> Vec<Case> {
    let good = plausible(path, field);
    let mut cases = Vec::new();
    let bare = path.trim_end_matches('/');
    let empty = if path.contains("verify") {
        r#"{"token":["This field is required."]}"#
    } else {
        r#"{"username":["This field is required."],"password":["This field is required."]}"#
    };
    for spelling in [bare.to_owned(), format!("{bare}?a=b")] {
        cases.push(Case::post("without the slash", &spelling, "{}").ours("1.1, both spellings", 400, empty));
    }
    let not_found = r#"{"detail":"Not found."}"#;
    for spelling in [format!("{path}/"), path.to_uppercase(), format!("{path}x/"), format!("/{path}")] {
        let case = Case::post("another path", &spelling, "{}");
        cases.push(case.ours("6, error pages are JSON", 404, not_found));
    }
    cases.push(Case::post("a deep nesting", path, "[".repeat(100_000)).ours_anyway(
        "6, deep nesting",
        400,
        r#"{"detail":"JSON parse error - "}"#,
    ));
    cases.push(Case::post("another format", &format!("{path}?format=xml"), "{}").ours(
        "1.1, format",
        400,
        empty,
    ));
    for query in ["?format=json", "?username=a&password=b&token=c", "?", "?%ff", "?a=%00"] {
        cases.push(Case::post("query parameters", &format!("{path}{query}"), "{}"));
        cases.push(Case::post("query parameters", &format!("{path}{query}"), good.clone()));
    }
    cases
}
