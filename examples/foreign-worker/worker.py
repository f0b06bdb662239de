"""Does the jobs of the queue `sales` for Warren's scheduler: claims a run, renews it while it works, reports its outcome.

The example of docs/FOREIGN-WORKERS.md, which says why each step is as it is. Settings come from the environment: AMQP_URL,
as Warren's programs read it, and WORK_SECONDS (1), how long a report takes. SIGTERM and Ctrl-C end it after the run in hand.
"""

import json
import logging
import os
import random
import secrets
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pika
from pika.exceptions import AMQPConnectionError, ChannelClosedByBroker, NackError, UnroutableError

TEAM = "sales"
TICKS, QUEUE = "job.ticks", f"{TEAM}.ticks"
REPORTS, ANSWERS = "job.reports", "amq.rabbitmq.reply-to"
# Every limit is explicit, since versions of RabbitMQ differ in theirs. A tick that is dropped comes again in a minute.
QUEUE_ARGUMENTS = {
    "x-queue-type": "quorum", "x-delivery-limit": 1000, "x-max-length": 100_000, "x-overflow": "drop-head",
}
ANSWER_SECONDS = 10  # Then we ask again: whatever is asked twice is done once.
RECONNECT_SECONDS_MAX = 30

log = logging.getLogger(TEAM)


class Lasting(Exception):
    """No later attempt could do better."""


def report(run, ended):
    """The job. `ended` is set when the run is no longer ours: then stop, for another worker may begin it."""
    if "region" not in run["args"]:
        raise Lasting("args hold no region")
    print(f"working on {run['run_id']}, attempt {run['attempt']}", flush=True)
    ended.wait(float(os.environ.get("WORK_SECONDS", "1")))
    return f"the sales of {run['args']['region']} for {run['scheduled_at']}\n"


JOBS = {"report": report}


class Hand:
    """A run in hand: it is worked on in a thread of its own, which never touches the connection."""

    def __init__(self, run, pool):
        self.run, self.ended, self.timer = run, threading.Event(), None
        self.hold(run)
        self.future = pool.submit(self._work)

    def hold(self, granted):
        """Ours until the lease runs out, counted from when we asked. No proof of it is the loss of it."""
        if self.timer:
            self.timer.cancel()
        left = granted["asked_at"] + granted["lease_seconds"] - time.monotonic()
        self.timer = threading.Timer(max(left, 0), self.ended.set)
        self.timer.daemon = True
        self.timer.start()
        self.renew_at = granted["asked_at"] + granted["lease_seconds"] / 3

    def _work(self):
        try:
            job = JOBS.get(self.run["job_key"])
            if job is None:
                raise Lasting(f"no job {self.run['job_key']!r} here")
            return {"outcome": "succeeded", "output": job(self.run, self.ended)}
        except Exception as error:
            return {"outcome": "failed", "error": repr(error), "lasting": isinstance(error, Lasting)}


class Worker:
    def __init__(self):
        # Of this process alone: who has this name and asks again is told the same again.
        self.name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self.pool, self.hand, self.stopping = ThreadPoolExecutor(1), None, False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_):
        self.stopping = True

    def work(self, connection):
        """Over one connection, until it breaks or we are to stop. A run in hand outlives it."""
        self.connection, self.channel, self.answer = connection, connection.channel(), {}
        self.channel.queue_declare(QUEUE, durable=True, arguments=QUEUE_ARGUMENTS)
        self.channel.queue_bind(QUEUE, TICKS, routing_key=f"{TEAM}.#")
        self.channel.confirm_delivery()
        self.channel.basic_consume(ANSWERS, self._on_answer, auto_ack=True)
        self.channel.basic_qos(prefetch_count=1)
        print(f"reading {QUEUE}", flush=True)
        while self.hand or not self.stopping:
            self.see_to_hand() if self.hand else self.take()

    def _on_answer(self, _channel, _method, properties, body):
        self.answer[properties.correlation_id] = json.loads(body)

    def ask(self, what, **members):
        """Asks until it is answered; only the thread of the connection does."""
        body = json.dumps({"worker": self.name, **members}).encode()
        while True:
            asked, asked_at = secrets.token_hex(8), time.monotonic()
            properties = pika.BasicProperties(reply_to=ANSWERS, correlation_id=asked, delivery_mode=2)
            try:
                self.channel.basic_publish(REPORTS, f"{TEAM}.{what}", body, properties, mandatory=True)
            except (NackError, UnroutableError) as error:
                log.warning("a %s did not arrive (%r)", what, error)
            while time.monotonic() < asked_at + ANSWER_SECONDS:
                self.connection.process_data_events(time_limit=0.2)
                if asked in self.answer:
                    answer, self.answer = self.answer[asked], {}
                    return {**answer, "asked_at": asked_at}
            log.warning("no answer to a %s, asking again", what)

    def take(self):
        """The next run. Who has one in hand is not subscribed: the other ticks are for whoever has time."""
        for method, _properties, body in self.channel.consume(QUEUE, inactivity_timeout=0.5):
            if method is not None:
                self.claim(method.delivery_tag, body)
            if self.hand or self.stopping:
                self.channel.cancel()
                return

    def claim(self, tag, body):
        try:
            event = json.loads(body)
            if event["dataschema"] != "/schemas/job.tick.due/v1":
                raise ValueError(f"its version is {event['dataschema']}")
            run_id, trace = event["data"]["run_id"], event.get("traceparent")
        except (ValueError, KeyError, TypeError) as error:
            log.error("a message is no tick: %r", error)
            self.channel.basic_reject(tag, requeue=False)
            return
        # A tick is a turn: what is granted may be another run, which is more important.
        run = self.ask("claim", run_id=run_id)
        if run["granted"]:
            self.hand = Hand({**run, "traceparent": trace}, self.pool)
        else:
            log.info("nothing to do: %s", run["reason"])
        # From here on the row in Warren's database carries the work: if we die, its lease runs out and it is tried again.
        self.channel.basic_ack(tag)

    def see_to_hand(self):
        hand, run = self.hand, self.hand.run
        which = {name: run[name] for name in ("run_id", "attempt", "traceparent")}
        if hand.future.done():
            hand.timer.cancel()
            if hand.ended.is_set():
                log.warning("%s was no longer ours when it was done", run["run_id"])
            else:
                told = self.ask("finish", **which, **hand.future.result())
                log.info("%s is reported: %s", run["run_id"], told)
            self.hand = None
        elif not hand.ended.is_set() and time.monotonic() >= hand.renew_at:
            renewed = self.ask("renew", **which)
            if renewed["granted"]:
                hand.hold(renewed)
            else:
                log.warning("%s is no longer ours: %s", run["run_id"], renewed["reason"])
                hand.ended.set()
        else:
            self.connection.process_data_events(time_limit=0.2)  # Heartbeats, too.


def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # We say ourselves what a lost connection means.
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.client_properties = {"connection_name": TEAM}  # So that operators see whose it is.
    worker, failures = Worker(), 0
    while worker.hand or not worker.stopping:
        began = time.monotonic()
        try:
            with pika.BlockingConnection(parameters) as connection:
                worker.work(connection)
        except ChannelClosedByBroker as error:
            # The broker has our queue otherwise, forbids it, or has no such exchange: a person must look.
            log.error("the broker refused: %s. Has Warren been started on it once?", error.reply_text)
            return 1
        except (AMQPConnectionError, OSError) as error:
            failures = 1 if time.monotonic() - began > 60 else failures + 1
            wait = random.uniform(0, min(2**failures, RECONNECT_SECONDS_MAX))
            log.warning("no connection to the broker (%r); next try in %.1f s", error, wait)
            until = time.monotonic() + wait
            while time.monotonic() < until and (worker.hand or not worker.stopping):
                time.sleep(0.1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
