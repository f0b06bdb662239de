//! Nodes that form a cluster on this machine: one port mapper that outlives each of them, one cookie, one password.

use std::path::Path;

use super::{RabbitmqOptions, RabbitmqServer, node, settings::Settings};
use crate::{
    process::{Account, Process},
    servers::{folder::ServerFolder, ports, random},
};

/// The port mapper by which the nodes of a cluster find one another. It ends with this value, so last.
#[derive(Debug)]
pub struct PortMapper {
    process: Process,
    port: u16,
}

/// What makes a node a member of a cluster.
#[derive(Clone, Debug)]
pub struct Membership {
    /// A member that runs, by its [name](RabbitmqServer::node_name); the first node of a cluster has none to join.
    pub peer: Option<String>,
    port_mapper: u16,
    cookie: String,
    password: String,
}

impl PortMapper {
    /// Starts one, which works in `folder`.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let folder = ServerFolder::open(folder, Account::for_server("rabbitmq")?)?;
        let port = ports::free_port()?;
        Ok(Self { process: node::spawn_port_mapper(&folder, port)?, port })
    }

    /// The membership of a new cluster's first node.
    pub fn membership(&self) -> anyhow::Result<Membership> {
        let (cookie, password) = (random::secret(20)?, random::secret(24)?);
        Ok(Membership { peer: None, port_mapper: self.port, cookie, password })
    }
}

impl Drop for PortMapper {
    fn drop(&mut self) {
        self.process.kill();
    }
}

impl RabbitmqServer {
    /// Starts a new node and has it join its cluster. Later [`RabbitmqServer::start`] starts it again as what it is.
    pub fn start_member(options: &RabbitmqOptions, membership: &Membership) -> anyhow::Result<Self> {
        let folder = ServerFolder::open(&options.folder, Account::for_server("rabbitmq")?)?;
        folder.keep_settings(&Settings {
            epmd_port: membership.port_mapper,
            shares_port_mapper: true,
            cookie: membership.cookie.clone(),
            password: membership.password.clone(),
            ..Settings::new()?
        })?;
        let mut server = Self::start(options)?;
        if let Some(peer) = &membership.peer {
            // A node forgets all it has when it joins.
            for words in [&["stop_app"][..], &["reset"], &["join_cluster", peer], &["start_app"]] {
                server.control(words)?;
            }
            server.wait_until_ready()?;
        }
        Ok(server)
    }
}
