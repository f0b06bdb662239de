//! Bytes that no WebSocket library would send: each is answered in order, and costs no more than its own connection.

use std::time::Duration;

use test_support::api::Login;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::harness::Api;

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const TEXT: u8 = 0x1;
const PING: u8 = 0x9;
const LAST: u8 = 0x80;

async fn connect(api: &Api) -> TcpStream {
    TcpStream::connect(api.client.base().strip_prefix("http://").unwrap()).await.unwrap()
}

/// Reads until `expected` has come; what came is given back.
async fn until(stream: &mut TcpStream, expected: &[u8]) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = async {
        while !heard.windows(expected.len()).any(|part| part == expected) {
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer).await {
                Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
                _ => return false,
            }
        }
        true
    };
    let came = timeout(Duration::from_mins(1), read).await;
    assert_eq!(came, Ok(true), "{}", String::from_utf8_lossy(&heard));
    heard
}

/// The close code of the frame with which the server ends; none if it just ends.
async fn close_code(stream: &mut TcpStream) -> Option<u16> {
    let mut heard = Vec::new();
    // What the server did not read may make its end a reset, after its last frame.
    let _ = timeout(Duration::from_mins(1), stream.read_to_end(&mut heard)).await.unwrap();
    let at = heard.iter().rposition(|byte| *byte == 0x88)?;
    Some(u16::from_be_bytes([*heard.get(at + 2)?, *heard.get(at + 3)?]))
}

/// The status line's code of a request with these headers.
async fn status(api: &Api, line: &str, headers: &str) -> u16 {
    let mut stream = connect(api).await;
    let host = api.client.base().strip_prefix("http://").unwrap();
    stream.write_all(format!("{line}\r\nHost: {host}\r\n{headers}\r\n").as_bytes()).await.unwrap();
    let head = until(&mut stream, b"\r\n").await;
    String::from_utf8_lossy(&head)[9..12].parse().unwrap()
}

async fn open(api: &Api) -> TcpStream {
    let mut stream = connect(api).await;
    let head = format!("GET /ws/tasks/ HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{KEY}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    until(&mut stream, b"\r\n\r\n").await;
    stream
}

/// A frame as a client sends it, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            // Masked, and the length in the next two bytes.
            frame.push(0xFE);
            frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn token(login: &Login) -> String {
    format!(r#"{{"type":"authenticate","token":"{}"}}"#, login.access)
}

/// Goes red when a request that is no handshake opens a stream, or breaks something.
#[tokio::test]
async fn only_a_whole_handshake_opens_a_stream() {
    let api = Api::start().await;
    let host = api.client.base().strip_prefix("http://").unwrap();
    let name = host.split(':').next().unwrap();
    let get = "GET /ws/tasks/ HTTP/1.1";
    let whole = format!("{UPGRADE}{KEY}");
    assert_eq!(status(&api, get, &whole).await, 101);
    for (line, headers, expected) in [
        ("GET /ws/tasks/ HTTP/1.0", whole.clone(), 426),
        ("HEAD /ws/tasks/ HTTP/1.1", whole.clone(), 426),
        ("POST /ws/tasks/ HTTP/1.1", whole.clone(), 405),
        (get, UPGRADE.to_owned(), 426),
        (get, KEY.to_owned(), 426),
        (get, format!("Connection: Upgrade\r\nUpgrade: h2c\r\n{KEY}"), 426),
        (get, format!("{whole}Sec-WebSocket-Version: 8\r\n").replace("Version: 13", "Version: 8"), 426),
        (get, format!("{whole}Origin: null\r\n"), 403),
        (get, format!("{whole}Origin: http://{name}:1\r\n"), 403),
        (get, format!("{whole}Origin: http://{host}.evil.example\r\n"), 403),
        (get, format!("{whole}Sec-Fetch-Site: cross-site\r\n"), 403),
        (get, format!("{whole}Origin: http://{host}\r\nSec-Fetch-Site: same-site\r\n"), 403),
        (get, format!("{whole}Origin: http://{host}\r\nOrigin: https://evil.example\r\n"), 403),
        (get, format!("{whole}Origin: http://{host}\r\n"), 101),
        (get, format!("{whole}Sec-WebSocket-Extensions: permessage-deflate\r\n"), 101),
        (get, format!("{whole}Sec-WebSocket-Protocol: warren.tasks.v1, bearer.a, bearer.b\r\n"), 400),
        ("GET /ws/tasks/?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln HTTP/1.1", whole.clone(), 400),
        ("GET /ws/tasks/?x=Bearer+eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln HTTP/1.1", whole.clone(), 400),
    ] {
        assert_eq!(status(&api, line, &headers).await, expected, "{line} {headers}");
    }
}

/// Goes red when a message in pieces, in one packet with the handshake, or between pings is not understood.
#[tokio::test]
async fn a_token_is_understood_however_its_bytes_arrive() {
    let api = Api::start().await;
    let login = api.client.join("ada").await;
    let token = token(&login);
    let (begin, end) = token.as_bytes().split_at(20);

    let mut early = connect(&api).await;
    let mut bytes = format!("GET /ws/tasks/ HTTP/1.1\r\nHost: a\r\n{UPGRADE}{KEY}\r\n").into_bytes();
    bytes.extend(frame(LAST | TEXT, token.as_bytes()));
    early.write_all(&bytes).await.unwrap();
    until(&mut early, br#""type":"tasks""#).await;

    let mut pieces = open(&api).await;
    for piece in [frame(TEXT, begin), frame(LAST | PING, b"hm"), frame(LAST, end)] {
        for byte in piece {
            pieces.write_all(&[byte]).await.unwrap();
        }
    }
    let heard = until(&mut pieces, br#""type":"tasks""#).await;
    assert!(heard.windows(4).any(|part| part == b"\x8a\x02hm"), "the ping was not answered");
}

/// Goes red when what is no frame, or too long a one, is taken for a message.
#[tokio::test]
async fn what_is_no_frame_ends_the_stream() {
    let api = Api::start().await;
    let long = vec![b' '; 17_000];
    let unmasked = [&[LAST | TEXT, 2][..], b"{}"].concat();
    let many = [frame(TEXT, &long[..9_000]), frame(LAST, &long[..9_000])].concat();
    let endless = [&[LAST | TEXT, 0xff][..], &[0x7f; 8], &[0; 4]].concat();
    for (what, bytes) in [
        ("unmasked", unmasked),
        ("longer than 16 KiB", frame(LAST | TEXT, &long)),
        ("longer than 8 KiB", frame(LAST | TEXT, &long[..9_000])),
        ("longer than 16 KiB in two pieces", many),
        ("said to be endless", endless),
        ("with a bit of an extension", frame(LAST | 0x40 | TEXT, b"{}")),
        ("of an unknown kind", frame(LAST | 0x3, b"{}")),
        ("a continuation of nothing", frame(LAST, b"{}")),
        ("a ping in pieces", frame(PING, b"")),
        ("no text", frame(LAST | TEXT, b"\xff\xfe")),
    ] {
        let mut stream = open(&api).await;
        stream.write_all(&bytes).await.unwrap();
        let began = Instant::now();
        assert_eq!(close_code(&mut stream).await, Some(1008), "{what}");
        // Its end with much unread is a reset, which on some systems takes the last frame with it.
        let lingers = what != "longer than 16 KiB" || began.elapsed() > Duration::from_millis(400);
        assert!(lingers, "the client had no time to hear why");
    }
}

/// Goes red when pings keep a stranger in, or make the answers to them pile up.
#[tokio::test]
async fn pings_keep_nobody_in_without_a_token() {
    let mut bounds = super::live::bounds();
    bounds.authenticate_within = Duration::from_millis(500);
    let api = Api::start_live(bounds, &[]).await;
    let mut stream = open(&api).await;
    let pings = frame(LAST | PING, &[b'a'; 125]).repeat(100);
    // It ends though the client never reads an answer.
    let flood = async { while stream.write_all(&pings).await.is_ok() {} };
    timeout(Duration::from_secs(30), flood).await.expect("the stream ends");
}
