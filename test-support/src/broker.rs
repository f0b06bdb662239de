//! A virtual host of a test's own, gone when the test ends.

use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection};
use reqwest::Method;
use shared::config::BrokerConfig;
use shared::entropy::Entropy;
use shared::role::Role;
use url::Url;
use uuid::Uuid;

use crate::database::{on_a_thread_of_its_own, password_of};
use crate::environment;
use crate::programs::{Ended, Program};

/// A virtual host on a RabbitMQ server. Empty: programs declare the topology, or [`TestBroker::declare_topology`].
#[derive(Debug)]
pub struct TestBroker {
    amqp_url: String,
    management: Url,
    name: String,
    /// Whether the virtual host is to be deleted; one on a private server goes with it.
    deleted: bool,
}

/// A message taken from a queue.
#[derive(Debug)]
pub struct Taken {
    /// By which key it came.
    pub routing_key: String,
    /// Its properties.
    pub properties: BasicProperties,
    /// Its body.
    pub body: Vec<u8>,
}

impl Taken {
    /// The AMQP `message_id`.
    pub fn message_id(&self) -> Uuid {
        let id = self.properties.message_id().as_ref().expect("a message of ours has an id");
        id.as_str().parse().expect("the message id is a UUID")
    }

    /// The body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

impl TestBroker {
    /// A virtual host on the servers of this test run.
    pub async fn create() -> Self {
        Self::create_at(&environment::amqp_url(), &environment::management_url(), true).await
    }

    /// A virtual host on a private server, with which it goes away.
    pub async fn create_on(amqp_url: &str, management_url: &str) -> Self {
        Self::create_at(amqp_url, management_url, false).await
    }

    async fn create_at(amqp_url: &str, management_url: &str, deleted: bool) -> Self {
        let name = format!("warren_test_{}", Entropy::system().uuid_v4().simple());
        let mut amqp = Url::parse(amqp_url).expect("the AMQP URL can be read");
        amqp.set_path(&name);
        let management = Url::parse(management_url).expect("the management URL can be read");
        let broker = Self { amqp_url: amqp.to_string(), management, name, deleted };
        let user = amqp.username().to_owned();
        let everything = serde_json::json!({ "configure": ".*", "write": ".*", "read": ".*" });
        broker.put(&format!("api/vhosts/{}", broker.name), &serde_json::json!({})).await;
        broker.put(&format!("api/permissions/{}/{user}", broker.name), &everything).await;
        broker
    }

    /// Its AMQP URL.
    pub fn amqp_url(&self) -> &str {
        &self.amqp_url
    }

    /// Its AMQP URL for a user of ours, whom [`TestBroker::apply_topology`] has made.
    pub fn amqp_url_as(&self, role: Role) -> String {
        let mut url = Url::parse(&self.amqp_url).expect("the test broker has a URL");
        url.set_username(role.name()).expect("an amqp URL has a user");
        url.set_password(Some(password_of(role))).expect("an amqp URL has a password");
        url.to_string()
    }

    /// The management API, with the administrator's login.
    pub fn management_url(&self) -> &str {
        self.management.as_str()
    }

    /// Has `producer-api topology apply` declare the topology and make the users.
    pub async fn apply_topology(&self) -> Ended {
        let program = Program::named("producer-api").arg("topology").arg("apply");
        let program = program.env("AMQP_URL", &self.amqp_url).env("MANAGEMENT_URL", self.management_url());
        let program = Role::ALL.into_iter().fold(program, |program, role| {
            let name = role.name().trim_start_matches("warren_").to_uppercase();
            program.env(&format!("{name}_AMQP_PASSWORD"), password_of(role))
        });
        program.run().await
    }

    /// Its name.
    pub fn virtual_host(&self) -> &str {
        &self.name
    }

    /// The settings by which a program reaches it.
    pub fn config(&self) -> BrokerConfig {
        BrokerConfig::at(&self.amqp_url).expect("a URL of RabbitMQ")
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> Connection {
        shared::broker::connect(&self.config(), "test", "test")
            .await
            .expect("can't connect to the test broker")
    }

    /// Declares Warren's exchanges, queues and bindings.
    pub async fn declare_topology(&self) {
        let connection = self.connect().await;
        shared::broker::declare(&connection).await.expect("the topology can be declared");
        close(connection).await;
    }

    /// Declares a durable queue of somebody else's, with `arguments`, to which all comes that is published to `exchange`.
    pub async fn bind_queue(&self, queue: &str, exchange: &str, arguments: &[(&str, AMQPValue)]) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let mut table = FieldTable::default();
        for (name, value) in arguments {
            table.insert((*name).into(), value.clone());
        }
        let declared = channel.queue_declare(queue.into(), QueueDeclareOptions::durable(), table).await;
        declared.expect("the queue can be declared");
        let (options, none) = (QueueBindOptions::default(), FieldTable::default());
        let bound = channel.queue_bind(queue.into(), exchange.into(), "#".into(), options, none).await;
        bound.expect("the queue can be bound");
        close(connection).await;
    }

    /// How many messages lie in `queue`, not counting those that a consumer has in hand. The queue must exist.
    pub async fn queue_depth(&self, queue: &str) -> u32 {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await;
        let depth = queue.expect("the queue exists").message_count();
        close(connection).await;
        depth
    }

    /// Publishes any bytes with any properties, and waits until the broker has them.
    pub async fn publish_raw(&self, exchange: &str, key: &str, properties: BasicProperties, body: &[u8]) {
        self.publish_all_raw(exchange, key, [(properties, body.to_vec())]).await;
    }

    /// Publishes several messages in their order, and waits until the broker has all of them.
    pub async fn publish_all_raw(
        &self,
        exchange: &str,
        key: &str,
        messages: impl IntoIterator<Item = (BasicProperties, Vec<u8>)>,
    ) {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms");
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        for (properties, body) in messages {
            // Left unawaited, its confirm is awaited below with all the others.
            let _confirm = channel
                .basic_publish(exchange.into(), key.into(), options, &body, properties)
                .await
                .expect("the broker takes the message");
        }
        let returned = channel.wait_for_confirms().await.expect("the broker confirms");
        assert!(returned.is_empty(), "{} messages of {exchange} {key} were not routed", returned.len());
        close(connection).await;
    }

    /// Takes the next message from `queue`, if there is one.
    pub async fn take(&self, queue: &str) -> Option<Taken> {
        self.take_up_to(queue, 1).await.pop()
    }

    /// Takes everything that lies in `queue`.
    pub async fn take_all(&self, queue: &str) -> Vec<Taken> {
        self.take_up_to(queue, usize::MAX).await
    }

    async fn take_up_to(&self, queue: &str, count_max: usize) -> Vec<Taken> {
        let connection = self.connect().await;
        let channel = connection.create_channel().await.expect("a channel");
        let mut taken = Vec::new();
        while taken.len() < count_max {
            let got = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await;
            let Some(message) = got.expect("the queue exists") else { break };
            taken.push(Taken {
                routing_key: message.delivery.routing_key.to_string(),
                properties: message.delivery.properties,
                body: message.delivery.data,
            });
        }
        close(connection).await;
        taken
    }

    /// Closes, by the management API, every connection whose name contains `part`; says how many. The statistics that
    /// list them are a few seconds old, so one that was just opened may be missed.
    pub async fn close_connections(&self, part: &str) -> usize {
        let connections = self.get(&format!("api/vhosts/{}/connections", self.name)).await;
        let named = |connection: &&serde_json::Value| {
            connection["user_provided_name"].as_str().is_some_and(|name| name.contains(part))
        };
        let mut closed = 0;
        for connection in connections.as_array().into_iter().flatten().filter(named) {
            let mut url = self.management.clone();
            let name = connection["name"].as_str().expect("a connection has a name");
            url.path_segments_mut().expect("an http URL").extend(["api", "connections", name]);
            let answer = reqwest::Client::new().delete(url).send().await.expect("the management API answers");
            closed += usize::from(answer.status().is_success());
        }
        closed
    }

    /// Deletes every queue whose name begins with `prefix`, by the management API, as an operator may do; says how many.
    pub async fn delete_queues(&self, prefix: &str) -> usize {
        let queues = self.get(&format!("api/queues/{}", self.name)).await;
        let names = queues.as_array().into_iter().flatten().filter_map(|queue| queue["name"].as_str());
        let mut deleted = 0;
        for name in names.filter(|name| name.starts_with(prefix)) {
            let mut url = self.management.clone();
            url.path_segments_mut().expect("an http URL").extend(["api", "queues", &self.name, name]);
            let answer = reqwest::Client::new().delete(url).send().await.expect("the management API answers");
            deleted += usize::from(answer.status().is_success());
        }
        deleted
    }

    /// Asks the management API.
    pub async fn get(&self, path: &str) -> serde_json::Value {
        let url = self.management.join(path).expect("a path of the management API");
        let answer = reqwest::get(url).await.expect("the management API answers");
        answer.json().await.expect("the management API answers with JSON")
    }

    /// Asks the management API to do something; gives the status of its answer.
    pub async fn manage(&self, method: Method, path: &str, document: &serde_json::Value) -> u16 {
        let url = self.management.join(path).expect("a path of the management API");
        let answer = reqwest::Client::new().request(method, url).json(document).send().await;
        answer.expect("the management API answers").status().as_u16()
    }

    async fn put(&self, path: &str, document: &serde_json::Value) {
        let status = self.manage(Method::PUT, path, document).await;
        assert!((200..300).contains(&status), "the management API answered {status} to PUT {path}");
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        if !self.deleted {
            return;
        }
        let url =
            self.management.join(&format!("api/vhosts/{}", self.name)).expect("a path of the management API");
        let name = self.name.clone();
        on_a_thread_of_its_own(async move {
            let answer = reqwest::Client::new().delete(url).send().await;
            if !answer.is_ok_and(|answer| answer.status().is_success()) {
                eprintln!("the virtual host {name} of a test was left behind");
            }
        });
    }
}

async fn close(connection: Connection) {
    // A connection that is closing by itself is as good.
    let _ = connection.close(200, "done".into()).await;
}
