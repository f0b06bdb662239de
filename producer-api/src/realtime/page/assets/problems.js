// What can go wrong between the page and the API, and how the page says it.

import { isOffline } from './network.js';

/** The API refused. */
export class Refused extends Error {
  constructor(status, body, retryAfterSeconds) {
    super(`the API answered ${status}`);
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
    this.detail = typeof body?.detail === 'string' ? body.detail : '';
    this.fields = status === 400 && body && !this.detail ? body : {};
  }

  /** What is wrong with a field. */
  field(name) {
    const texts = this.fields[name];
    return Array.isArray(texts) ? texts.join(' ') : '';
  }
}

/** No answer came: nobody knows whether the change was made. */
export class Unreachable extends Error {}

/** The session is over; the page is on its way to the login. */
export class SessionOver extends Error {}

/** A problem in a sentence that says what to do. */
export function sentence(problem) {
  if (problem instanceof Unreachable) {
    return isOffline()
      ? 'You are offline. Try again when you are back.'
      : 'No answer came. Check your connection and try again.';
  }
  if (!(problem instanceof Refused)) return 'Something went wrong on this page. Load it again.';
  const wait = problem.retryAfterSeconds;
  const inWait = wait ? ` Try again in ${wait === 1 ? 'a second' : `${wait} seconds`}.` : ' Try again in a moment.';
  if (problem.status === 429) return `Too many tries.${inWait}`;
  if (problem.status === 503) return `Warren can’t do this right now.${inWait}`;
  if (problem.status >= 500) return 'Warren failed to do this. Try again; if it goes on, tell whoever runs it.';
  if (problem.status === 404) return 'It is not there any more.';
  return problem.detail || problem.field('non_field_errors') || 'This was refused.';
}
