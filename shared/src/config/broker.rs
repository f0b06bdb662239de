//! Where RabbitMQ is.

use std::str::FromStr;
use std::time::Duration;

use lapin::uri::AMQPUri;
use url::Url;

use super::reader::Reader;
use super::secret::Secret;
use super::setting::Setting;

const AMQP_URL: Setting = Setting::secret(
    "AMQP_URL",
    "RabbitMQ, as `amqp://user:password@host:port/vhost` (`amqps://` for TLS). If set, the five settings below don't \
     count. `?heartbeat=` (seconds, 10) and `?connection_timeout=` (milliseconds, 10000) may follow.",
);
const RABBITMQ_HOST: Setting = Setting::new("RABBITMQ_HOST", "localhost", "RabbitMQ's host.");
const RABBITMQ_PORT: Setting = Setting::new("RABBITMQ_PORT", "5672", "RabbitMQ's AMQP port.");
const RABBITMQ_USER: Setting = Setting::new("RABBITMQ_USER", "guest", "RabbitMQ's user.");
const RABBITMQ_PASSWORD: Setting =
    Setting::secret("RABBITMQ_PASSWORD", "The user's password; `guest` if not set.");
const RABBITMQ_VHOST: Setting = Setting::new("RABBITMQ_VHOST", "/", "The virtual host.");

const RABBITMQ_TOPOLOGY: Setting = Setting::new(
    "RABBITMQ_TOPOLOGY",
    "declare",
    "`declare`: the program declares exchanges, queues and bindings whenever it connects, and stops at start where the broker has \
     them otherwise. `expect`: `producer-api topology apply` has declared them, the program's user needs no right to, and each part \
     of it waits for what it needs and is missing.",
);

pub(super) const SETTINGS: &[&Setting] = &[
    &AMQP_URL,
    &RABBITMQ_HOST,
    &RABBITMQ_PORT,
    &RABBITMQ_USER,
    &RABBITMQ_PASSWORD,
    &RABBITMQ_VHOST,
    &RABBITMQ_TOPOLOGY,
];

/// A peer that is gone is noticed within two of these.
const HEARTBEAT_SECONDS: &str = "10";
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What a program does about the topology whenever it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopologyAtStart {
    /// Declares it.
    #[default]
    Declare,
    /// Looks whether it is there.
    Expect,
}

impl FromStr for TopologyAtStart {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "declare" => Ok(Self::Declare),
            "expect" => Ok(Self::Expect),
            _ => Err(()),
        }
    }
}

/// The broker of a program.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The connection URL, heartbeat included.
    pub url: Secret,
    /// How long it may take until a role has its connection, its channel and what it declares there, and then until the
    /// broker answers what it is asked; the URL's `connection_timeout`.
    pub connection_timeout: Duration,
    /// Who declares the topology.
    pub topology: TopologyAtStart,
}

impl BrokerConfig {
    /// The broker at `url`, with what its [query parameters](https://www.rabbitmq.com/docs/uri-query-parameters) say of
    /// heartbeat and time limit; `None` if it is no such URL.
    pub fn at(url: &str) -> Option<Self> {
        let mut url = Url::parse(url).ok().filter(|url| ["amqp", "amqps"].contains(&url.scheme()))?;
        let value = |name| url.query_pairs().find(|(present, _)| present == name).map(|(_, value)| value);
        let connection_timeout = match value("connection_timeout") {
            Some(milliseconds) => Duration::from_millis(milliseconds.parse().ok()?),
            None => CONNECTION_TIMEOUT,
        };
        if value("heartbeat").is_none() {
            url.query_pairs_mut().append_pair("heartbeat", HEARTBEAT_SECONDS);
        }
        let topology = TopologyAtStart::default();
        Some(Self { url: Secret::new(url.as_str()), connection_timeout, topology })
    }

    /// The virtual host that is connected to; empty for a URL that can't be read, of which was told before.
    pub fn virtual_host(&self) -> String {
        self.url.expose().parse::<AMQPUri>().map(|uri| uri.vhost).unwrap_or_default()
    }

    /// Reads the section.
    pub fn read(reader: &mut Reader) -> Self {
        let given = reader.optional_secret(&AMQP_URL);
        let parts = Parts {
            host: reader.required(&RABBITMQ_HOST),
            port: reader.parsed(&RABBITMQ_PORT, "a port from 1 to 65535"),
            user: reader.required(&RABBITMQ_USER),
            password: reader.optional(&RABBITMQ_PASSWORD).unwrap_or_else(|| "guest".to_owned()),
            vhost: reader.required(&RABBITMQ_VHOST),
        };
        let config = match &given {
            Some(given) => Self::at(given.expose()),
            None => parts.url().and_then(|url| Self::at(url.as_str())),
        };
        let config = config.unwrap_or_else(|| {
            reader.problem(match given {
                Some(_) => "AMQP_URL: must be amqp://user:password@host:port/vhost, or amqps://…; connection_timeout, if \
                            given, in milliseconds"
                    .to_owned(),
                None => format!("RABBITMQ_HOST: {:?} is not a host name", parts.host),
            });
            let topology = TopologyAtStart::default();
            Self { url: Secret::new(""), connection_timeout: CONNECTION_TIMEOUT, topology }
        });
        Self { topology: reader.parsed(&RABBITMQ_TOPOLOGY, "`declare` or `expect`"), ..config }
    }
}

struct Parts {
    host: String,
    port: u16,
    user: String,
    password: String,
    vhost: String,
}

impl Parts {
    fn url(&self) -> Option<Url> {
        let mut url = Url::parse("amqp://localhost").ok()?;
        url.set_host(Some(&self.host)).ok()?;
        url.set_port(Some(self.port)).ok()?;
        url.set_username(&self.user).ok()?;
        url.set_password(Some(&self.password)).ok()?;
        // The vhost is one path segment, its slashes escaped: "/" is "%2F".
        url.path_segments_mut().ok()?.clear().push(&self.vhost);
        Some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[(&str, &str)]) -> Result<String, String> {
        let mut reader =
            Reader::from_values(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = BrokerConfig::read(&mut reader);
        reader.finish(config.url.expose().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_parts_make_a_url_with_heartbeat() {
        assert_eq!(read(&[]).unwrap(), "amqp://guest:guest@localhost:5672/%2F?heartbeat=10");
        assert_eq!(
            read(&[
                ("RABBITMQ_HOST", "mq"),
                ("RABBITMQ_PASSWORD", "p@ss/word"),
                ("RABBITMQ_VHOST", "warren")
            ])
            .unwrap(),
            "amqp://guest:p%40ss%2Fword@mq:5672/warren?heartbeat=10"
        );
    }

    #[test]
    fn a_given_url_goes_first_and_keeps_its_own_heartbeat() {
        let url = read(&[("AMQP_URL", "amqp://a:b@h:1/v?heartbeat=3"), ("RABBITMQ_HOST", "other")]).unwrap();
        assert_eq!(url, "amqp://a:b@h:1/v?heartbeat=3");
    }

    #[test]
    fn the_virtual_host_is_that_of_the_url_and_a_slash_if_it_names_none() {
        for (url, virtual_host) in [
            ("amqp://h", "/"),
            ("amqp://h/%2F", "/"),
            ("amqp://h/warren", "warren"),
            ("amqp://h/a%20b", "a b"),
        ] {
            assert_eq!(BrokerConfig::at(url).unwrap().virtual_host(), virtual_host, "{url}");
        }
    }

    #[test]
    fn who_declares_the_topology_is_one_of_two_words() {
        let read = |value: &str| {
            let mut reader = Reader::from_values([("RABBITMQ_TOPOLOGY".to_owned(), value.to_owned())]);
            let config = BrokerConfig::read(&mut reader);
            reader.finish(config.topology).map_err(|error| error.to_string())
        };
        assert_eq!(read(""), Ok(TopologyAtStart::Declare));
        assert_eq!(read("expect"), Ok(TopologyAtStart::Expect));
        assert!(read("ignore").unwrap_err().contains("RABBITMQ_TOPOLOGY"));
    }

    #[test]
    fn a_given_time_limit_counts_and_a_wrong_one_is_refused() {
        let config = |url| BrokerConfig::at(url).map(|config| config.connection_timeout);
        assert_eq!(config("amqp://h"), Some(Duration::from_secs(10)));
        assert_eq!(config("amqp://h/v?connection_timeout=250"), Some(Duration::from_millis(250)));
        assert_eq!(config("amqp://h/v?connection_timeout=soon"), None);
    }

    #[test]
    fn a_url_of_another_scheme_is_refused_without_repeating_it() {
        let message = read(&[("AMQP_URL", "http://user:hidden@h")]).unwrap_err();
        assert!(message.contains("AMQP_URL: must be amqp://") && !message.contains("hidden"), "{message}");
    }
}
