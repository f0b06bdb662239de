//! Where RabbitMQ is.

use url::Url;

use super::reader::Reader;
use super::secret::Secret;
use super::setting::Setting;

const AMQP_URL: Setting = Setting::secret(
    "AMQP_URL",
    "RabbitMQ, as `amqp://user:password@host:port/vhost` (`amqps://` for TLS). If set, the five settings below don't \
     count.",
);
const RABBITMQ_HOST: Setting = Setting::new("RABBITMQ_HOST", "localhost", "RabbitMQ's host.");
const RABBITMQ_PORT: Setting = Setting::new("RABBITMQ_PORT", "5672", "RabbitMQ's AMQP port.");
const RABBITMQ_USER: Setting = Setting::new("RABBITMQ_USER", "guest", "RabbitMQ's user.");
const RABBITMQ_PASSWORD: Setting =
    Setting::secret("RABBITMQ_PASSWORD", "The user's password; `guest` if not set.");
const RABBITMQ_VHOST: Setting = Setting::new("RABBITMQ_VHOST", "/", "The virtual host.");

pub(super) const SETTINGS: &[&Setting] =
    &[&AMQP_URL, &RABBITMQ_HOST, &RABBITMQ_PORT, &RABBITMQ_USER, &RABBITMQ_PASSWORD, &RABBITMQ_VHOST];

/// A peer that is gone is noticed within two of these.
const HEARTBEAT_SECONDS: &str = "10";
/// How long a connection may take to open.
const CONNECTION_TIMEOUT_MILLISECONDS: &str = "5000";

/// The broker of a program.
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// The connection URL, heartbeat and time limit included.
    pub url: Secret,
}

impl BrokerConfig {
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
        let url = match &given {
            Some(given) => {
                Url::parse(given.expose()).ok().filter(|url| ["amqp", "amqps"].contains(&url.scheme()))
            }
            None => parts.url(),
        };
        let Some(mut url) = url else {
            reader.problem(match given {
                Some(_) => "AMQP_URL: must be amqp://user:password@host:port/vhost, or amqps://…".to_owned(),
                None => format!("RABBITMQ_HOST: {:?} is not a host name", parts.host),
            });
            return Self { url: Secret::new("") };
        };
        for (name, value) in
            [("heartbeat", HEARTBEAT_SECONDS), ("connection_timeout", CONNECTION_TIMEOUT_MILLISECONDS)]
        {
            if !url.query_pairs().any(|(present, _)| present == name) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        Self { url: Secret::new(url.as_str()) }
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
    fn the_parts_make_a_url_with_heartbeat_and_time_limit() {
        assert_eq!(
            read(&[]).unwrap(),
            "amqp://guest:guest@localhost:5672/%2F?heartbeat=10&connection_timeout=5000"
        );
        assert_eq!(
            read(&[
                ("RABBITMQ_HOST", "mq"),
                ("RABBITMQ_PASSWORD", "p@ss/word"),
                ("RABBITMQ_VHOST", "warren")
            ])
            .unwrap(),
            "amqp://guest:p%40ss%2Fword@mq:5672/warren?heartbeat=10&connection_timeout=5000"
        );
    }

    #[test]
    fn a_given_url_goes_first_and_keeps_its_own_heartbeat() {
        let url = read(&[("AMQP_URL", "amqp://a:b@h:1/v?heartbeat=3"), ("RABBITMQ_HOST", "other")]).unwrap();
        assert_eq!(url, "amqp://a:b@h:1/v?heartbeat=3&connection_timeout=5000");
    }

    #[test]
    fn a_url_of_another_scheme_is_refused_without_repeating_it() {
        let message = read(&[("AMQP_URL", "http://user:hidden@h")]).unwrap_err();
        assert!(message.contains("AMQP_URL: must be amqp://") && !message.contains("hidden"), "{message}");
    }
}
