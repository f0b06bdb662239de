// The form that logs in.

import { busy, byId, mark, show } from './dom.js';
import { Refused, sentence } from './problems.js';

/** Why somebody who was here has to log in again. */
const REASONS = {
  logged_out: 'You are logged out.',
  logged_out_elsewhere: 'You logged out in another window.',
  ended: 'Your session was ended: from another window or device, or by a newer login.',
  expired: 'Your session has expired. Log in again to go on.',
  password_changed: 'Your password was changed. Log in with the new one.',
  no_account: 'This account can’t be used any more.',
  not_good: 'Your session is not valid any more.',
};

export class LogInForm {
  #session;
  #username = byId('username');
  #password = byId('password');

  constructor(session) {
    this.#session = session;
    byId('log-in-form').addEventListener('submit', (event) => {
      event.preventDefault();
      busy(byId('log-in-button'), () => this.#logIn());
    });
    for (const input of [this.#username, this.#password]) input.addEventListener('input', () => mark(input, ''));
  }

  /** Shows why, and waits for a name or a password. */
  open(reason) {
    show(byId('log-in-reason'), REASONS[reason]);
    show(byId('log-in-fault'), '');
    (this.#username.value ? this.#password : this.#username).focus();
  }

  async #logIn() {
    const [username, password] = [this.#username.value.trim(), this.#password.value];
    show(byId('log-in-fault'), '');
    mark(this.#username, username ? '' : 'Type your username.');
    mark(this.#password, password ? '' : 'Type your password.');
    if (!username || !password) {
      (username ? this.#password : this.#username).focus();
      return;
    }
    try {
      await this.#session.logIn(username, password);
      this.#password.value = '';
      show(byId('log-in-reason'), '');
    } catch (problem) {
      this.#refused(problem);
    }
  }

  #refused(problem) {
    const isRefused = problem instanceof Refused;
    mark(this.#username, isRefused ? problem.field('username') : '');
    mark(this.#password, isRefused ? problem.field('password') : '');
    if (isRefused && problem.status === 401) {
      show(byId('log-in-fault'), `${problem.detail}. A new account may have to verify its address first.`);
      this.#password.select();
    } else if (!isRefused || problem.status !== 400) show(byId('log-in-fault'), sentence(problem));
    this.#password.focus();
  }
}
