//! A private RabbitMQ from its first start to its end.

use std::{fs, net::TcpStream};

use xtask::{
    http,
    process::ProcessIdentity,
    servers::{RabbitmqOptions, RabbitmqServer, rabbitmq::PortMapper, scratch_folder},
};

#[test]
fn a_killed_node_restarts_on_its_ports_and_ends_without_a_trace() {
    let folder = scratch_folder().unwrap();
    let options = RabbitmqOptions {
        folder: folder.path().join("rabbitmq"),
        port: None,
        preferred_management_port: None,
    };
    let mut server = RabbitmqServer::start(&options).unwrap();
    let (amqp_url, management_url) = (server.amqp_url("warren"), server.management_url());
    let queues = format!("{management_url}/api/queues/warren");
    assert!(http::is_ok_with_login(&queues, server.user(), server.password()));
    assert!(!http::is_ok_with_login(&queues, "guest", "guest"));

    // The process we know is the broker itself, no script around it.
    let first = ProcessIdentity::of(server.pid()).unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", first.pid)).unwrap().trim(), "beam.smp");
    let family = first.descendants();
    // Node and port mapper can be found by their folder, should nobody remember them.
    let found = ProcessIdentity::working_in(folder.path());
    assert!(found.contains(&first) && found.len() >= 2);
    server.kill();
    assert!(!first.is_alive());
    assert!(family.iter().all(|process| !process.is_alive()));
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());

    server.restart().unwrap();
    assert_eq!((server.amqp_url("warren"), server.management_url()), (amqp_url, management_url));
    assert!(http::is_ok_with_login(&queues, server.user(), server.password()));

    let everything = ProcessIdentity::of(server.pid()).unwrap().descendants();
    server.stop();
    assert!(everything.iter().all(|process| !process.is_alive()));
    assert!(ProcessIdentity::working_in(folder.path()).is_empty());
}

#[test]
fn nodes_form_a_cluster_that_outlives_one_of_them_and_takes_it_back() {
    let folder = scratch_folder().unwrap();
    let mapper = PortMapper::start(&folder.path().join("port-mapper")).unwrap();
    let options = |name: &str| RabbitmqOptions {
        folder: folder.path().join(name),
        port: None,
        preferred_management_port: None,
    };
    let mut membership = mapper.membership().unwrap();
    let first = RabbitmqServer::start_member(&options("one"), &membership).unwrap();
    membership.peer = Some(first.node_name());
    let mut second = RabbitmqServer::start_member(&options("two"), &membership).unwrap();
    let both = ["await_online_nodes", "2", "--timeout", "60"];
    first.control(&both).unwrap();
    let port = second.port();
    second.kill();
    // Without the port mapper, which belongs to neither, nobody would find the first one now.
    first.control(&["status"]).unwrap();
    drop(second);
    let second = RabbitmqServer::start(&RabbitmqOptions { port: Some(port), ..options("two") }).unwrap();
    first.control(&both).unwrap();
    second.control(&both).unwrap();
    drop(second);
    drop(first);
    drop(mapper);
    assert!(ProcessIdentity::working_in(folder.path()).is_empty());
}
