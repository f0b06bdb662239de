//! Whose address a request comes from: the socket's, unless a trusted proxy says for whom it asks.
//!
//! Anybody may send an `X-Forwarded-For`, so its left end is anybody's word. Each proxy appends the address that it
//! was called from; so the hops are walked from the right, as long as a trusted proxy tells them. RFC 7239's
//! `Forwarded` is not looked at: a proxy that writes one of the two headers passes the other on as the client sent it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use axum::http::HeaderMap;
use ipnetwork::IpNetwork;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks whose `X-Forwarded-For` is believed; by default none.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNetwork]>);

/// An entry of `TRUSTED_PROXIES` that won't do.
#[derive(Debug, PartialEq, Eq)]
pub enum BadProxy {
    /// It is no address and no network.
    Unreadable(String),
    /// It contains every address.
    Everybody(String),
    /// It is an IPv4 network in the notation of IPv6.
    Mapped(String),
}

impl fmt::Display for BadProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(entry) => {
                write!(formatter, "{entry:?} is not an address or network such as 10.0.0.0/8 or fd00::/8")
            }
            Self::Everybody(entry) => write!(
                formatter,
                "{entry:?} trusts every client, who could then choose its own address; name the proxies"
            ),
            Self::Mapped(entry) => {
                write!(formatter, "{entry:?} is IPv4 in IPv6's notation; write it as 10.0.0.0/8")
            }
        }
    }
}

impl FromStr for TrustedProxies {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(network).collect()
    }
}

fn network(entry: &str) -> Result<IpNetwork, BadProxy> {
    let network: IpNetwork = entry.parse().map_err(|_| BadProxy::Unreadable(entry.to_owned()))?;
    let is_mapped = matches!(network, IpNetwork::V6(network) if network.ip().to_ipv4_mapped().is_some());
    match network.prefix() {
        0 => Err(BadProxy::Everybody(entry.to_owned())),
        _ if is_mapped => Err(BadProxy::Mapped(entry.to_owned())),
        _ => Ok(network),
    }
}

impl FromIterator<IpNetwork> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNetwork>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl TrustedProxies {
    /// The address of the client behind `peer`: the first hop from the right that is no trusted proxy. A hop that
    /// can't be read ends the walk at the proxy that told it; if every hop is trusted, it is the leftmost.
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = hops_from_the_right(headers);
        while self.trust(client) {
            let Some(Some(hop)) = hops.next() else { break };
            client = hop;
        }
        client
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// The hops of all `X-Forwarded-For` headers as one list, the last first; `None` for one that is no address.
fn hops_from_the_right(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let values = headers.get_all(X_FORWARDED_FOR).iter().rev();
    values.flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b',')).map(hop)
}

/// `1.2.3.4`, `1.2.3.4:55`, `::1`, `[::1]` or `[::1]:55`.
fn hop(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches([' ', '\t']);
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const PROXIES: &str = "10.0.0.0/8, 192.168.1.1, fd00::/8";

    fn client(trusted: &str, peer: &str, forwarded_for: &[&[u8]]) -> String {
        let proxies: TrustedProxies = trusted.parse().unwrap();
        proxies.client_address(peer.parse().unwrap(), &headers(forwarded_for)).to_string()
    }

    fn headers(forwarded_for: &[&[u8]]) -> HeaderMap {
        let name = HeaderName::from_static(X_FORWARDED_FOR);
        let values = forwarded_for.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        for forwarded_for in [&[][..], &[&b"6.6.6.6"[..]], &[b"10.0.0.1"], &[b"6.6.6.6, 10.0.0.1"]] {
            assert_eq!(client("", "203.0.113.9", forwarded_for), "203.0.113.9");
            assert_eq!(client("", "10.0.0.1", forwarded_for), "10.0.0.1");
            assert_eq!(client(PROXIES, "203.0.113.9", forwarded_for), "203.0.113.9");
            assert_eq!(client(PROXIES, "192.168.1.2", forwarded_for), "192.168.1.2");
        }
    }

    #[test]
    fn behind_trusted_proxies_it_is_the_rightmost_hop_that_is_none_of_them() {
        for (forwarded_for, expected) in [
            (&[][..], "10.0.0.1"),
            (&["203.0.113.9"], "203.0.113.9"),
            (&["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
            (&["6.6.6.6,203.0.113.9,10.2.2.2"], "203.0.113.9"),
            (&["6.6.6.6, 203.0.113.9, fd00::5 ,\t192.168.1.1"], "203.0.113.9"),
            (&["6.6.6.6", "203.0.113.9", "10.2.2.2"], "203.0.113.9"),
            (&["203.0.113.9, 10.3.3.3", "10.2.2.2"], "203.0.113.9"),
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ] {
            let values: Vec<&[u8]> = forwarded_for.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(client(PROXIES, "10.0.0.1", &values), expected, "{forwarded_for:?}");
        }
    }

    #[test]
    fn a_hop_may_have_a_port_brackets_and_ipv4_in_ipv6() {
        for (hop, expected) in [
            ("203.0.113.9:55", "203.0.113.9"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:DB8::7]:55", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("[::ffff:203.0.113.9]:55", "203.0.113.9"),
            ("203.0.113.9, ::ffff:10.2.2.2", "203.0.113.9"),
            ("203.0.113.9, [fd00::1]:443, 10.2.2.2:8080", "203.0.113.9"),
        ] {
            assert_eq!(client(PROXIES, "::ffff:10.0.0.1", &[hop.as_bytes()]), expected, "{hop}");
        }
    }

    #[test]
    fn a_hop_that_is_no_address_ends_the_walk_at_the_proxy_that_told_it() {
        for hop in [
            &b"unknown"[..],
            b"",
            b" ",
            b"_hidden",
            b"203.0.113",
            b"203.0.113.009",
            b"203.0.113.9:",
            b"203.0.113.9:99999",
            b"203.0.113.9 203.0.113.8",
            b"[203.0.113.9]",
            b"[::1",
            b"::1]:5",
            b"fe80::1%eth0",
            b"\"203.0.113.9\"",
            b"for=203.0.113.9",
            b"\xff",
            b"203.0.113.\xef\xbc\x99",
        ] {
            let value = [b"6.6.6.6,", hop, b", 10.2.2.2"].concat();
            assert_eq!(client(PROXIES, "10.0.0.1", &[&value]), "10.2.2.2", "{hop:?}");
            assert_eq!(client(PROXIES, "10.0.0.1", &[b"6.6.6.6", hop]), "10.0.0.1", "{hop:?}");
        }
    }

    #[test]
    fn an_entry_that_is_no_network_or_trusts_everybody_is_refused() {
        let refusal = |text: &str| text.parse::<TrustedProxies>().unwrap_err();
        for entry in ["10.0.0.0/33", "10.0.0", "proxy.example.com", "*", "10.0.0.1:80", "[::1]", "/8"] {
            assert_eq!(refusal(&format!("127.0.0.1, {entry}")), BadProxy::Unreadable(entry.to_owned()));
        }
        for entry in ["0.0.0.0/0", "::/0", "10.0.0.0/0"] {
            assert_eq!(refusal(entry), BadProxy::Everybody(entry.to_owned()));
        }
        assert_eq!(
            refusal("::ffff:10.0.0.0/104").to_string(),
            "\"::ffff:10.0.0.0/104\" is IPv4 in IPv6's notation; write it as 10.0.0.0/8"
        );
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(IpAddr::from),
            any::<[u8; 16]>().prop_map(IpAddr::from),
            any::<u8>().prop_map(|last| IpAddr::from([10, 0, 0, last])),
        ]
    }

    proptest! {
        #[test]
        fn what_a_client_writes_never_counts_before_what_the_first_proxy_saw(
            written in prop::collection::vec(prop::collection::vec(0x20_u8..=0xff, 0..40), 0..4),
            seen in address().prop_filter("no proxy", |seen| {
                !PROXIES.parse::<TrustedProxies>().unwrap().trust(seen.to_canonical())
            }),
            chain in prop::collection::vec(any::<[u8; 3]>(), 1..5),
            in_one_header in any::<bool>(),
        ) {
            let written: Vec<Vec<u8>> =
                written.into_iter().map(|value| value.into_iter().filter(|byte| *byte != 0x7f).collect()).collect();
            // The first proxy appends the client's address, each further one that of the proxy before it.
            let proxies: Vec<IpAddr> = chain.iter().map(|[a, b, c]| IpAddr::from([10, *a, *b, *c])).collect();
            let (peer, told) = proxies.split_last().unwrap();
            let appended: Vec<Vec<u8>> =
                std::iter::once(&seen).chain(told).map(|hop| hop.to_string().into_bytes()).collect();
            let values = if in_one_header {
                vec![[written, appended].concat().join(&b","[..])]
            } else {
                [written, appended].concat()
            };
            let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(client(PROXIES, &peer.to_string(), &values), seen.to_canonical().to_string());
        }

        #[test]
        fn without_trusted_proxies_no_header_changes_the_address(
            peer in address(),
            written in prop::collection::vec(prop::collection::vec(0x20_u8..=0x7e, 0..40), 0..4),
        ) {
            let values: Vec<&[u8]> = written.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(client("", &peer.to_string(), &values), peer.to_canonical().to_string());
        }
    }
}
