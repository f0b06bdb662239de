"""Welcomes new users: reads Warren's auth.user.registered and writes one row for each into SQLite.

The example of docs/ADDING-A-CONSUMER.md, which says why each step is as it is. Settings come from the environment:
AMQP_URL, as Warren's programs read it, and WELCOME_DATABASE, the SQLite file. SIGTERM and Ctrl-C end it in order.
"""

import json
import logging
import os
import random
import signal
import sqlite3
import sys
import time

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker

EXCHANGE = "auth.events"
EVENT = "auth.user.registered"
SCHEMA = f"/schemas/{EVENT}/v1"

QUEUE = "welcome.registrations"
DEAD_LETTERS = "welcome.dead"
# Arguments can't be changed once a queue exists. Every limit is explicit, since versions of RabbitMQ differ in theirs.
QUEUE_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1000,
    # When nobody reads, the oldest go. Never "reject-publish": Warren's relay would be refused along with us.
    "x-max-length": 1_000_000,
    "x-overflow": "drop-head",
    "x-dead-letter-exchange": DEAD_LETTERS,
}
DEAD_LETTERS_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-delivery-limit": 1_000_000,
    "x-max-length": 100_000,
    "x-overflow": "drop-head",
}
PREFETCH = 50
RECONNECT_SECONDS_MAX = 30

log = logging.getLogger("welcome")


class Unreadable(Exception):
    """No later try can make sense of this message."""


class Stop:
    """Whether somebody asked us to end."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, *_):
        self.asked = True


def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # We say ourselves what a lost connection means.
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.client_properties = {"connection_name": "welcome"}  # So that operators see whose it is.
    database = open_database(os.environ["WELCOME_DATABASE"])
    stop = Stop()
    failures = 0
    while not stop.asked:
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                declare(channel)
                failures = 0
                work(channel, database, stop)
        except ChannelClosedByBroker as error:
            # The broker has our queue otherwise, forbids it, or has no such exchange: a person must look.
            log.error("the broker refused: %s. Has Warren been started on it once?", error.reply_text)
            return 1
        except (AMQPConnectionError, OSError) as error:
            failures += 1
            wait = random.uniform(0, min(2**failures, RECONNECT_SECONDS_MAX))
            log.warning("no connection to the broker (%r); next try in %.1f s", error, wait)
            until = time.monotonic() + wait
            while not stop.asked and time.monotonic() < until:
                time.sleep(0.1)
    return 0


def open_database(path):
    database = sqlite3.connect(path)
    database.execute(
        """
        CREATE TABLE IF NOT EXISTS welcomes (
            event_id      TEXT    PRIMARY KEY,
            user_id       INTEGER NOT NULL,
            username      TEXT    NOT NULL,
            registered_at TEXT    NOT NULL
        )
        """
    )
    database.commit()
    return database


def declare(channel):
    """Ours alone: Warren's exchange is there, or the binding fails and says so."""
    channel.exchange_declare(DEAD_LETTERS, "fanout", durable=True)
    channel.queue_declare(DEAD_LETTERS, durable=True, arguments=DEAD_LETTERS_ARGUMENTS)
    channel.queue_bind(DEAD_LETTERS, DEAD_LETTERS)
    channel.queue_declare(QUEUE, durable=True, arguments=QUEUE_ARGUMENTS)
    channel.queue_bind(QUEUE, EXCHANGE, routing_key=EVENT)


def work(channel, database, stop):
    channel.basic_qos(prefetch_count=PREFETCH)
    # The timeout is how often a stop is noticed while nothing comes.
    deliveries = channel.consume(QUEUE, inactivity_timeout=0.5)
    print(f"reading {QUEUE}", flush=True)
    for method, _properties, body in deliveries:
        if method is not None:
            handle(channel, database, method, body)
        if stop.asked:
            channel.cancel()  # Gives back what was fetched and not handled.
            return


def handle(channel, database, method, body):
    try:
        event = read(body)
    except Unreadable as error:
        log.error("a message goes to %s: %s", DEAD_LETTERS, error)
        channel.basic_reject(method.delivery_tag, requeue=False)
        return
    welcome(database, event)
    # Not before the commit: killed in between, the message comes again and changes nothing.
    channel.basic_ack(method.delivery_tag)


def read(body):
    """The event, if we know its version. Members that we don't know are none of our business."""
    try:
        event = json.loads(body)
        schema, data = event["dataschema"], event["data"]
        if schema != SCHEMA:
            raise Unreadable(f"its version is {schema}, we read {SCHEMA}")
        return {
            "event_id": str(event["id"]),
            "user_id": int(data["user_id"]),
            "username": str(data["username"]),
            "registered_at": str(event["time"]),
        }
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"it is no event of Warren's ({error!r})") from error


def welcome(database, event):
    """One row, however often the event comes. A failure of the database ends the program: what is not
    acknowledged waits in the queue for its next start."""
    with database:
        done = database.execute(
            """
            INSERT INTO welcomes (event_id, user_id, username, registered_at)
            VALUES (:event_id, :user_id, :username, :registered_at)
            ON CONFLICT (event_id) DO NOTHING
            """,
            event,
        )
    log.info("%s %s", "welcomed, by event" if done.rowcount else "welcomed before, by event", event["event_id"])


if __name__ == "__main__":
    sys.exit(main())
