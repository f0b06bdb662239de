// Who is logged in here. The refresh token is in a cookie that no script sees; the access token is in this window's
// memory and nowhere else.
//
// Two windows of one browser share the cookie. They take turns at whatever changes it, and tell each other of logins
// and logouts; but nothing rests on that: a window that heard nothing finds out when its socket closes or its next
// request is refused.

import { isOffline } from './network.js';
import { Refused, SessionOver, Unreachable } from './problems.js';

const PATH = '/real_data/session';
const ANSWER_MS = 20_000;
/** Renewed when so much of its life is over. */
const RENEW_AT = 0.75;

/** Sends a request; gives status, body and headers of whatever was answered. */
export async function exchange(method, path, { headers = {}, body } = {}) {
  if (isOffline()) throw new Unreachable('no network');
  const json = body === undefined ? {} : { 'Content-Type': 'application/json' };
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: { Accept: 'application/json', ...json, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    text = await response.text();
  } catch (cause) {
    throw new Unreachable('no answer', { cause });
  }
  let read;
  try {
    read = text === '' ? undefined : JSON.parse(text);
  } catch {
    read = undefined;
  }
  return { status: response.status, headers: response.headers, body: read };
}

/** The answer's body, or the problem that it tells of. */
export function accepted({ status, headers, body }) {
  if (status < 400) return body;
  const seconds = Number.parseInt(headers.get('Retry-After') ?? '', 10);
  throw new Refused(status, body, Number.isNaN(seconds) ? undefined : seconds);
}

/**
 * Events: `begun` (a session, perhaps another than before), `renewed` (a new access token for it), `over` with
 * `detail.reason`.
 */
export class Session extends EventTarget {
  #access;
  #id;
  #expiresAt = 0;
  #lifetime = 0;
  #renewing;
  #timer;
  #windows = 'BroadcastChannel' in window ? new BroadcastChannel('warren-session') : undefined;
  user;

  constructor() {
    super();
    this.#windows?.addEventListener('message', ({ data }) => this.#heard(data));
  }

  get isBegun() {
    return this.#access !== undefined;
  }

  /** For how many seconds the access token is still good. */
  get secondsLeft() {
    return Math.max(0, Math.round((this.#expiresAt - performance.now()) / 1000));
  }

  /** The header that carries a token, as this Warren wants it. */
  static header(token) {
    const { tokenHeader, tokenScheme } = document.body.dataset;
    return { [tokenHeader]: `${tokenScheme} ${token}` };
  }

  /** Takes up the session of the browser, if there is one. Gives whether there is. */
  async resume() {
    const taken = await inTurn(() => exchange('POST', `${PATH}/refresh`));
    if (taken.status === 204) return false;
    if (taken.status === 401) {
      this.#forget(reasonOf(taken.body));
      return false;
    }
    await this.#take(accepted(taken));
    return true;
  }

  async logIn(username, password) {
    const answer = accepted(await inTurn(() => exchange('POST', PATH, { body: { username, password } })));
    await this.#take(answer);
    this.#tell('begun');
  }

  async logOut() {
    const headers = this.#access ? Session.header(this.#access) : {};
    accepted(await inTurn(() => exchange('DELETE', PATH, { headers })));
    this.#tell('over');
    this.#forget('logged_out');
  }

  /** An access token that is good for a while. */
  async token() {
    if (!this.isBegun) throw new SessionOver('nobody is logged in');
    if (this.secondsLeft < Math.min(10, this.#lifetime / 4)) await this.renew(this.#access);
    return this.#access;
  }

  /** A new access token in place of `old`, unless there is one already. Ends the session here if it is over. */
  async renew(old) {
    if (old !== undefined && old !== this.#access && this.isBegun) return this.#access;
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    await this.#renewing;
    return this.#access;
  }

  async #renew() {
    const answer = await inTurn(() => exchange('POST', `${PATH}/refresh`));
    if (answer.status === 204 || answer.status === 401) {
      // Without a cookie nobody knows why; it is over in any case.
      this.#forget(answer.status === 204 ? 'ended' : reasonOf(answer.body));
      throw new SessionOver('the session is over');
    }
    await this.#take(accepted(answer));
  }

  async #take({ access, expires_in: seconds, session, user }) {
    const another = session !== this.#id || !this.isBegun;
    if (another) {
      // Before anybody is told: no view may show one user's tasks under another's name.
      this.user = user ?? accepted(await exchange('GET', '/api/users/me/', { headers: Session.header(access) }));
    }
    this.#access = access;
    this.#id = session;
    this.#lifetime = seconds;
    this.#expiresAt = performance.now() + seconds * 1000;
    clearTimeout(this.#timer);
    // A failure is no harm: whoever needs a token asks again.
    this.#timer = setTimeout(() => this.renew(access).catch(() => {}), Math.max(1000, seconds * RENEW_AT * 1000));
    this.dispatchEvent(new Event(another ? 'begun' : 'renewed'));
  }

  #forget(reason) {
    clearTimeout(this.#timer);
    this.#access = undefined;
    this.#id = undefined;
    this.user = undefined;
    this.dispatchEvent(new CustomEvent('over', { detail: { reason } }));
  }

  #tell(what) {
    this.#windows?.postMessage({ what, session: this.#id });
  }

  #heard({ what, session }) {
    if (what === 'over' && this.isBegun && session === this.#id) this.#forget('logged_out_elsewhere');
    // Another session in the cookie: this window goes on with that one.
    if (what === 'begun' && session !== this.#id) this.renew().catch(() => {});
  }
}

/** One window at a time changes the cookie, where the browser has locks; else the server forgives a second use. */
function inTurn(work) {
  return navigator.locks ? navigator.locks.request('warren-session', work) : work();
}

function reasonOf(body) {
  const detail = body?.detail ?? '';
  if (detail.includes('expired')) return 'expired';
  if (detail.includes('blacklisted')) return 'ended';
  if (detail.includes('password')) return 'password_changed';
  if (detail.includes('No active account')) return 'no_account';
  return 'not_good';
}
