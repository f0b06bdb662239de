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
QUEUE, REPORTS, ANSWERS = f"{TEAM}.ticks", "job.reports", "amq.rabbitmq.reply-to"
ANSWER_SECONDS = 10  # Then we ask again: whatever is asked twice is done once.
CLAIM_SECONDS = 300  # Then the tick goes back: RabbitMQ ends a consumer that holds a message for half an hour.
OUTPUT_CHARACTERS = 65536  # More is not kept.
RECONNECT_SECONDS_MAX = 30

log = logging.getLogger(TEAM)


class Lasting(Exception):
    """No later attempt could do better."""


def report(run, ended):
    """The job. `ended` is set when the run is no longer ours: then stop, for another worker may begin it."""
    if "region" not in run["args"]:
        raise Lasting("args hold no region")
    print(f"working on {run['run_id']}, attempt {run['attempt']}", flush=True)
    if ended.wait(float(os.environ.get("WORK_SECONDS", "1"))):
        raise InterruptedError("the run is no longer ours")
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
            return {"outcome": "succeeded", "output": job(self.run, self.ended)[:OUTPUT_CHARACTERS]}
        except Exception as error:
            return {"outcome": "failed", "error": repr(error)[:4096], "lasting": isinstance(error, Lasting)}


class Worker:
    def __init__(self):
        # Of this process alone: who has this name and asks again is told the same again.
        self.name = f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"
        self.pool, self.hand, self.claiming, self.stopping = ThreadPoolExecutor(1), None, None, False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def _stop(self, *_):
        self.stopping = True

    def work(self, connection):
        """Over one connection, until it breaks or we are to stop. A run in hand outlives it, and so does a claim."""
        self.connection, self.channel, self.answer = connection, connection.channel(), {}
        self.channel.queue_declare(QUEUE, passive=True)  # An administrator has made it: definitions.json.
        self.channel.confirm_delivery()
        self.channel.basic_consume(ANSWERS, self._on_answer, auto_ack=True)
        self.channel.basic_qos(prefetch_count=1)
        print(f"reading {QUEUE}", flush=True)
        if self.claiming:  # Its answer may be lost, and the tick is back in the queue: we may have a run by now.
            self.claim()
        while self.hand or not self.stopping:
            self.see_to_hand() if self.hand else self.take()

    def _on_answer(self, _channel, _method, properties, body):
        self.answer[properties.correlation_id] = json.loads(body)

    def ask(self, what, is_over, **members):
        """Asks until it is answered, or nobody needs the answer any more (then None); only the thread of the connection does."""
        body = json.dumps({"worker": self.name, **members}).encode()
        while True:
            asked, asked_at = secrets.token_hex(8), time.monotonic()
            properties = pika.BasicProperties(reply_to=ANSWERS, correlation_id=asked, delivery_mode=2,
                                              expiration=str(ANSWER_SECONDS * 1000))  # Nobody waits for it then.
            try:
                self.channel.basic_publish(REPORTS, f"{TEAM}.{what}", body, properties, mandatory=True)
            except (NackError, UnroutableError) as error:
                log.warning("a %s did not arrive (%r)", what, error)
            while time.monotonic() < asked_at + ANSWER_SECONDS:
                self.connection.process_data_events(time_limit=0.2)
                if asked in self.answer:
                    answer, self.answer = self.answer[asked], {}
                    return {**answer, "asked_at": asked_at}
            log.warning("no answer to a %s", what)
            if is_over():
                return None

    def take(self):
        """The next run. Who has one in hand is not subscribed: the other ticks are for whoever has time."""
        for method, _properties, body in self.channel.consume(QUEUE, inactivity_timeout=0.5):
            if method is not None:
                self.turn(method.delivery_tag, body)
            if self.hand or self.stopping:
                self.channel.cancel()
                return

    def turn(self, tag, body):
        try:
            event = json.loads(body)
            if event["dataschema"] != "/schemas/job.tick.due/v1":
                raise ValueError(f"its version is {event['dataschema']}")
            self.claiming = (event["id"], event["data"]["run_id"], event.get("traceparent"))
        except (ValueError, KeyError, TypeError) as error:
            log.error("a message is no tick: %r", error)
            self.channel.basic_reject(tag, requeue=False)
            return
        if self.claim():
            # From here on the row in Warren's database carries the work: if we die, its lease runs out and it is tried again.
            self.channel.basic_ack(tag)
        else:
            self.channel.basic_nack(tag, requeue=True)

    def claim(self):
        """Whether it is answered."""
        (tick_id, run_id, trace), until = self.claiming, time.monotonic() + CLAIM_SECONDS
        # A tick is a turn: what is granted may be another run, which is more important.
        run = self.ask("claim", lambda: self.stopping or time.monotonic() > until, run_id=run_id, tick_id=tick_id)
        self.claiming = None
        if run and run["granted"]:
            self.hand = Hand({**run, "traceparent": trace}, self.pool)
        elif run:
            log.info("nothing to do: %s", run["reason"])
        return run is not None

    def give_up_lost(self):
        """What was given up and has stopped needs no connection any more."""
        if self.hand and self.hand.ended.is_set() and self.hand.future.done():
            self.hand = None

    def see_to_hand(self):
        hand, run = self.hand, self.hand.run
        which = {name: run[name] for name in ("run_id", "attempt", "traceparent")}
        if hand.future.done():
            # Whose lease has run out reports nothing: what was cut short is no success.
            told = None if hand.ended.is_set() else self.ask("finish", hand.ended.is_set, **which, **hand.future.result())
            hand.timer.cancel()
            if told:
                log.info("%s is reported: %s", run["run_id"], told)
            else:
                log.warning("%s was no longer ours when it was done", run["run_id"])
            self.hand = None
        elif not hand.ended.is_set() and time.monotonic() >= hand.renew_at:
            renewed = self.ask("renew", lambda: hand.ended.is_set() or hand.future.done(), **which)
            if renewed and renewed["granted"]:
                hand.hold(renewed)
            elif renewed:
                log.warning("%s is no longer ours: %s", run["run_id"], renewed["reason"])
                hand.ended.set()
        else:
            self.connection.process_data_events(time_limit=0.2)  # Heartbeats, too.


def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # We say ourselves what a lost connection means.
    parameters = pika.URLParameters(os.environ["AMQP_URL"])
    parameters.client_properties = {"connection_name": TEAM}  # So that operators see whose it is.
    parameters.blocked_connection_timeout = 60  # A broker in need takes nothing, and says so: else we would wait for ever.
    worker, failures = Worker(), 0
    while worker.hand or not worker.stopping:
        began = time.monotonic()
        try:
            with pika.BlockingConnection(parameters) as connection:
                worker.work(connection)
        except ChannelClosedByBroker as error:
            # It forbids something, or has no such queue or exchange: a person must look.
            log.error("the broker refused: %s. Were definitions.json and Warren's topology applied?", error.reply_text)
            return 1
        except (AMQPConnectionError, OSError) as error:
            failures = 1 if time.monotonic() - began > 60 else failures + 1
            wait = random.uniform(0, min(2**failures, RECONNECT_SECONDS_MAX))
            log.warning("no connection to the broker (%r); next try in %.1f s", error, wait)
            until = time.monotonic() + wait
            while time.monotonic() < until and (worker.hand or not worker.stopping):
                time.sleep(0.1)
                worker.give_up_lost()
    return 0


if __name__ == "__main__":
    sys.exit(main())
