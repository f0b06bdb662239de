//! What a RabbitMQ node's folder remembers: ports and secrets.

use serde::{Deserialize, Serialize};

use super::super::{ports, random};

/// A node's ports, all on 127.0.0.1, and its secrets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) amqp_port: u16,
    pub(super) management_port: u16,
    /// Where other Erlang nodes would connect, `rabbitmqctl` among them.
    pub(super) distribution_port: u16,
    /// The port mapper's.
    pub(super) epmd_port: u16,
    /// Whether that one is a cluster's, and none of this node's business.
    #[serde(default)]
    pub(super) shares_port_mapper: bool,
    pub(super) password: String,
    /// Whoever knows it may run code in the node, so it is a secret like the password.
    pub(super) cookie: String,
}

impl Settings {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            amqp_port: 0,
            management_port: 0,
            distribution_port: 0,
            epmd_port: 0,
            shares_port_mapper: false,
            password: random::secret(24)?,
            cookie: random::secret(20)?,
        })
    }

    pub(super) fn ports(&self) -> [u16; 4] {
        [self.amqp_port, self.management_port, self.distribution_port, self.epmd_port]
    }

    /// Keeps each port that is still free and chooses the others, the wished one if it can be had; gives those that were
    /// taken, with their successors. A management page that somebody has open stays where it is.
    pub(super) fn choose_ports(
        &mut self,
        amqp_wish: Option<u16>,
        management_wish: Option<u16>,
    ) -> anyhow::Result<Vec<(u16, u16)>> {
        let before = self.ports();
        if let Some(port) = amqp_wish {
            self.amqp_port = port;
        }
        let taken = before.map(|port| port != 0 && !ports::is_free(port));
        let homeless = self.management_port == 0 || taken[1];
        if let Some(port) = management_wish.filter(|&port| homeless && ports::is_free(port)) {
            self.management_port = port;
        }
        let mut chosen = Vec::new();
        let ours = [
            (&mut self.amqp_port, false),
            (&mut self.management_port, false),
            (&mut self.distribution_port, false),
            (&mut self.epmd_port, self.shares_port_mapper),
        ];
        for (port, is_shared) in ours {
            while *port == 0 || chosen.contains(port) || !(is_shared || ports::is_free(*port)) {
                *port = ports::free_port()?;
            }
            chosen.push(*port);
        }
        let moved = before.into_iter().zip(chosen).zip(taken).filter(|(_, taken)| *taken);
        Ok(moved.map(|(ports, _)| ports).filter(|(before, chosen)| before != chosen).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn ports_differ_and_stay_while_they_are_free() {
        let mut settings = Settings::new().unwrap();
        assert!(settings.choose_ports(None, None).unwrap().is_empty());
        let first = settings.ports();
        assert!(settings.choose_ports(None, None).unwrap().is_empty());
        assert_eq!(settings.ports(), first);
        let mut distinct = first.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), first.len());
    }

    #[test]
    fn a_port_mapper_that_a_cluster_shares_stays_where_it_is() {
        let cluster = TcpListener::bind("127.0.0.1:0").unwrap();
        let epmd_port = cluster.local_addr().unwrap().port();
        let mut settings = Settings { shares_port_mapper: true, epmd_port, ..Settings::new().unwrap() };
        assert!(settings.choose_ports(None, None).unwrap().is_empty());
        assert_eq!(settings.epmd_port, epmd_port);
    }

    #[test]
    fn a_taken_port_moves_and_is_reported() {
        let mut settings = Settings::new().unwrap();
        settings.choose_ports(None, None).unwrap();
        let _stranger = TcpListener::bind(("127.0.0.1", settings.management_port)).unwrap();
        let before = settings.management_port;
        let moved = settings.choose_ports(None, None).unwrap();
        assert_eq!(moved, [(before, settings.management_port)]);
        assert_ne!(before, settings.management_port);
    }
}
