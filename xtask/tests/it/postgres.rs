//! A private PostgreSQL from its first start to its end.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use xtask::{
    process::ProcessIdentity,
    servers::{PostgresOptions, PostgresServer, free_port, postgres::DATABASE, scratch_folder},
};

fn options(folder: &tempfile::TempDir) -> PostgresOptions {
    PostgresOptions { folder: folder.path().join("postgres"), port: None, durable: false }
}

/// Sends the first message of the protocol and gives the kind of the answer: `R` asks for the password.
fn greeting(port: u16) -> Option<u8> {
    let parameters = format!("user\0warren\0database\0{DATABASE}\0\0");
    let length = u32::try_from(8 + parameters.len()).ok()?;
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(&length.to_be_bytes()).ok()?;
    stream.write_all(&196_608_u32.to_be_bytes()).ok()?;
    stream.write_all(parameters.as_bytes()).ok()?;
    let mut kind = [0];
    stream.read_exact(&mut kind).ok()?;
    Some(kind[0])
}

#[test]
fn a_killed_cluster_restarts_on_its_port_and_ends_without_a_trace() {
    let folder = scratch_folder().unwrap();
    let mut server = PostgresServer::start(&options(&folder)).unwrap();
    assert_eq!(greeting(server.port()), Some(b'R'));
    let port = server.port();

    let first = ProcessIdentity::of(server.pid()).unwrap();
    let mut family = first.descendants();
    assert!(!family.is_empty());
    family.push(first);
    server.kill();
    assert!(family.iter().all(|process| !process.is_alive()));
    assert_eq!(greeting(port), None);

    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(greeting(port), Some(b'R'));

    let url = server.url(DATABASE);
    let second = ProcessIdentity::of(server.pid()).unwrap();
    server.stop();
    assert!(!second.is_alive());
    assert!(ProcessIdentity::working_in(folder.path()).is_empty());

    // The folder remembers password and port.
    let server = PostgresServer::start(&options(&folder)).unwrap();
    assert_eq!(server.url(DATABASE), url);
    drop(server);
    assert!(ProcessIdentity::working_in(folder.path()).is_empty());
}

#[test]
fn a_remembered_port_that_a_stranger_took_is_given_up() {
    let folder = scratch_folder().unwrap();
    let server = PostgresServer::start(&options(&folder)).unwrap();
    let before = server.port();
    server.stop();

    let _stranger = TcpListener::bind(("127.0.0.1", before)).unwrap();
    let server = PostgresServer::start(&options(&folder)).unwrap();
    assert_ne!(server.port(), before);
    assert_eq!(server.moved_from(), Some(before));
    assert_eq!(greeting(server.port()), Some(b'R'));
}

#[test]
fn a_demanded_port_that_is_taken_is_an_error() {
    let folder = scratch_folder().unwrap();
    let port = free_port().unwrap();
    let _stranger = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let error = PostgresServer::start(&PostgresOptions { port: Some(port), ..options(&folder) }).unwrap_err();
    assert!(error.to_string().contains("taken"), "{error:#}");
}

#[test]
fn a_forgotten_postmaster_is_ended_before_a_new_one_starts() {
    let folder = scratch_folder().unwrap();
    let forgotten = PostgresServer::start(&options(&folder)).unwrap();
    let pid = ProcessIdentity::of(forgotten.pid()).unwrap();
    forgotten.detach();

    let adopted = PostgresServer::adopt(&options(&folder)).unwrap().unwrap();
    assert_eq!(adopted.pid(), pid.pid);
    drop(adopted);
    assert!(pid.is_alive());

    let server = PostgresServer::start(&options(&folder)).unwrap();
    assert!(!pid.is_alive());
    assert_eq!(greeting(server.port()), Some(b'R'));
}
