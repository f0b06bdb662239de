// The API, for whoever is logged in: the same paths that every client uses.

import { Refused } from './problems.js';
import { Session, accepted, exchange } from './session.js';

const PAGE = 20;

/** Every call gives the answer's body, or throws one of `problems.js`. */
export class Api {
  #session;

  constructor(session) {
    this.#session = session;
  }

  createTask(task, key) {
    return this.#ask('POST', '/api/tasks/', { body: task, headers: { 'Idempotency-Key': key } });
  }

  renameTask(id, title) {
    return this.#ask('PATCH', `/api/tasks/${id}/`, { body: { title } });
  }

  deleteTask(id) {
    return this.#ask('DELETE', `/api/tasks/${id}/`);
  }

  /** Tasks from the newest on, or from where the last page ended; `next` leads on, if there are more. */
  async tasks({ next, limit = PAGE } = {}) {
    const answer = await this.#answer('GET', next ?? `/api/tasks/?limit=${limit}`);
    return { tasks: accepted(answer), next: nextOf(answer.headers.get('Link')) };
  }

  sessions() {
    return this.#ask('GET', '/api/sessions/');
  }

  endSession(id) {
    return this.#ask('DELETE', `/api/sessions/${id}/`);
  }

  async #ask(method, path, options) {
    return accepted(await this.#answer(method, path, options));
  }

  async #answer(method, path, { headers = {}, body } = {}) {
    const send = (token) => exchange(method, path, { body, headers: { ...headers, ...Session.header(token) } });
    const token = await this.#session.token();
    const answer = await send(token);
    if (answer.status !== 401) return answer;
    const again = await send(await this.#session.renew(token));
    if (again.status === 401) throw new Refused(401, again.body);
    return again;
  }
}

/** The path of `Link: <…>; rel="next"`. The host is ours, whatever a proxy calls us. */
function nextOf(link) {
  const found = /<([^>]+)>\s*;[^,]*rel="?next"?/.exec(link ?? '');
  if (!found) return undefined;
  const url = new URL(found[1], location.href);
  return `${url.pathname}${url.search}`;
}

