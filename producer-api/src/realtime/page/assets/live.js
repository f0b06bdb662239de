// The WebSocket `/ws/tasks/`: the present list first, then every change. Its protocol is in docs/LIVE.md.

import { isOffline, tryAnyway } from './network.js';
import { SessionOver } from './problems.js';

export const LIMIT = 20;
const FIRST_WAIT_MS = 500;
const WAIT_MAX_MS = 30_000;
const OPENING_MS = 15_000;
/** A connection that died in silence is found out by asking; browsers show pages nothing of pings. */
const CHECK_EVERY_MS = 20_000;
const CHECK_ANSWER_MS = 8_000;

/**
 * Keeps a stream for as long as somebody is logged in.
 *
 * Events: `message` with `detail` (a message of the server) and `state` with `detail`: `connecting`, `live`, `stale`,
 * `waiting` (`until`: when it tries again), `offline`, `stopped`.
 */
export class Live extends EventTarget {
  #session;
  #socket;
  #failures = 0;
  #timers = { opening: undefined, retry: undefined, check: undefined, answer: undefined };
  #wanted = false;
  /** Whether the token in hand was fetched because the one before was refused: a second refusal is no haste. */
  #freshToken = false;
  /** Whether the stream before was refused for our own fault: once that may be a page that stood still, twice it is not. */
  #wasRefused = false;

  constructor(session) {
    super();
    this.#session = session;
    session.addEventListener('renewed', () => this.#authenticate());
    addEventListener('online', () => this.tryNow());
    addEventListener('offline', () => this.#wanted && this.#goOffline());
    document.addEventListener('visibilitychange', () => {
      // A phone that was in a pocket: its connection may be long gone.
      if (document.visibilityState !== 'visible') return;
      this.tryNow();
      this.#check();
    });
  }

  start() {
    this.stop();
    this.#wanted = true;
    this.#failures = 0;
    this.#connect();
  }

  stop() {
    this.#wanted = false;
    this.#drop();
  }

  /** Connects at once, if it is not connected. */
  tryNow() {
    if (!this.#wanted || this.#socket) return;
    tryAnyway();
    this.#failures = 0;
    this.#connect();
  }

  async #connect() {
    this.#drop();
    if (isOffline()) {
      this.#goOffline();
      return;
    }
    this.#say({ name: 'connecting' });
    const url = new URL(`/ws/tasks/?limit=${LIMIT}`, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(url, 'warren.tasks.v1');
    this.#socket = socket;
    this.#timers.opening = setTimeout(() => this.#lost(socket), OPENING_MS);
    // The token goes in the first message: nothing on the way keeps a log of that.
    socket.addEventListener('open', () => this.#authenticate());
    socket.addEventListener('message', ({ data }) => socket === this.#socket && this.#read(data));
    socket.addEventListener('close', ({ code }) => socket === this.#socket && this.#closed(code));
  }

  async #authenticate() {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    try {
      const token = await this.#session.token();
      if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ type: 'authenticate', token }));
    } catch (problem) {
      if (!(problem instanceof SessionOver)) this.#lost(socket);
    }
  }

  #read(data) {
    clearTimeout(this.#timers.answer);
    this.#timers.answer = undefined;
    const message = JSON.parse(data);
    if (message.type === 'tasks') {
      clearTimeout(this.#timers.opening);
      this.#failures = 0;
      this.#freshToken = false;
      this.#wasRefused = false;
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
      this.#say({ name: 'live' });
      clearInterval(this.#timers.check);
      this.#timers.check = setInterval(() => this.#check(), CHECK_EVERY_MS);
    } else if (message.type === 'stale') {
      // The server hears of no changes itself. The next list ends that.
      this.#say({ name: 'stale' });
    } else {
      this.dispatchEvent(new CustomEvent('message', { detail: message }));
    }
  }

  #check() {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#timers.answer) return;
    const socket = this.#socket;
    this.#timers.answer = setTimeout(() => this.#lost(socket), CHECK_ANSWER_MS);
    this.#authenticate();
  }

  async #closed(code) {
    this.#drop();
    if (!this.#wanted) return;
    if (code === 1008 && this.#wasRefused) {
      this.#say({ name: 'stopped' });
      return;
    }
    // Perhaps the browser had put this page to sleep, and no token came in time.
    this.#wasRefused = code === 1008;
    // Over, or run out. Another window may have begun a new session meanwhile: then this one goes on with that.
    if ((code === 4403 || code === 4401) && !this.#freshToken) {
      this.#freshToken = true;
      try {
        await this.#session.renew();
      } catch (problem) {
        if (problem instanceof SessionOver) return;
        this.#wait();
        return;
      }
      // A session other than before has begun meanwhile, and with it another stream.
      if (this.#wanted && !this.#socket) this.#connect();
      return;
    }
    this.#wait();
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#drop();
    if (this.#wanted) this.#wait();
  }

  #wait() {
    if (isOffline()) {
      this.#goOffline();
      return;
    }
    const longest = Math.min(WAIT_MAX_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    // Half of it by chance, so that not all windows of all users come back at once.
    const wait = longest * (0.5 + Math.random() / 2);
    this.#timers.retry = setTimeout(() => this.#connect(), wait);
    this.#say({ name: 'waiting', until: Date.now() + wait });
  }

  #goOffline() {
    this.#drop();
    this.#say({ name: 'offline' });
  }

  #drop() {
    clearTimeout(this.#timers.opening);
    clearTimeout(this.#timers.retry);
    clearTimeout(this.#timers.answer);
    clearInterval(this.#timers.check);
    this.#timers = { opening: undefined, retry: undefined, check: undefined, answer: undefined };
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #say(state) {
    this.dispatchEvent(new CustomEvent('state', { detail: state }));
  }
}
