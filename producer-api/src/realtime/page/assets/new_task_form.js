// The form that makes a task.

import { byId, mark, setText, show } from './dom.js';
import * as duration from './duration.js';
import { Refused, SessionOver, sentence } from './problems.js';
import { titleFault } from './task_row.js';

const HINT = 'Minutes, or HH:MM:SS';
/** After this long the same words are meant as another task. */
const KEY_AGE_MAX_MS = 5 * 60_000;

export class NewTaskForm {
  #tasks;
  #api;
  #title = byId('title');
  #duration = byId('duration');
  /**
   * By its words the key, and since when, of a request whose answer never came: sent again with the same words, it makes no
   * second task.
   */
  #keys = new Map();
  /** The words of what is on its way; and the last of it, since tasks are made in the order in which they were typed. */
  #sending = new Set();
  #last = Promise.resolve();

  constructor(tasks, api) {
    this.#tasks = tasks;
    this.#api = api;
    byId('new-task').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#title.addEventListener('input', () => mark(this.#title, ''));
    this.#duration.addEventListener('input', () => {
      mark(this.#duration, '');
      const { seconds } = duration.parse(this.#duration.value);
      setText(byId('duration-hint'), seconds ? `= ${duration.inWords(seconds)}` : HINT);
    });
  }

  /** Forgets what was typed and what became of it. */
  clear() {
    this.#empty();
    this.#keys.clear();
    show(byId('new-task-fault'), '');
  }

  /** A fault that is shown stays: it may be about another task. */
  #empty() {
    byId('new-task').reset();
    mark(this.#title, '');
    mark(this.#duration, '');
    setText(byId('duration-hint'), HINT);
  }

  #typed() {
    const title = this.#title.value.trim();
    const { seconds, fault } = duration.parse(this.#duration.value);
    return { title, seconds, fault, words: JSON.stringify([title, seconds]) };
  }

  #submit() {
    const task = this.#typed();
    show(byId('new-task-fault'), '');
    mark(this.#title, titleFault(task.title));
    mark(this.#duration, task.fault ?? '');
    if (titleFault(task.title) || task.fault) {
      (titleFault(task.title) ? this.#title : this.#duration).focus();
      return;
    }
    // Pressed twice.
    if (this.#sending.has(task.words)) return;
    this.#sending.add(task.words);
    this.#forgetKeys();
    byId('add').classList.add('busy');
    this.#last = this.#last.then(() => this.#send(task));
  }

  /** Of tasks that nobody tries to make any more, since he makes others, or that he tried long ago. */
  #forgetKeys() {
    const oldest = performance.now() - KEY_AGE_MAX_MS;
    for (const [words, { since }] of this.#keys) {
      if (!this.#sending.has(words) || since < oldest) this.#keys.delete(words);
    }
  }

  async #send({ title, seconds, words }) {
    const { key } = this.#keys.get(words) ?? { key: newKey() };
    this.#keys.set(words, { key, since: performance.now() });
    try {
      const task = await this.#api.createTask({ title, duration: String(seconds) }, key);
      this.#keys.delete(words);
      this.#tasks.put(task);
      // Whoever types the next one already keeps it.
      if (this.#typed().words === words) {
        const isHere = byId('new-task').contains(document.activeElement);
        this.#empty();
        if (isHere) this.#title.focus();
      }
    } catch (problem) {
      // Answered, neither with a failure nor with “still at it”: the next try is another request.
      if (problem instanceof Refused && problem.status < 500 && problem.status !== 409) this.#keys.delete(words);
      if (!(problem instanceof SessionOver)) this.#refused(problem, title, words);
    } finally {
      this.#sending.delete(words);
      byId('add').classList.toggle('busy', this.#sending.size > 0);
    }
  }

  #refused(problem, title, words) {
    if (this.#typed().words !== words) {
      show(byId('new-task-fault'), `“${title}” was not added. ${sentence(problem)}`);
      return;
    }
    const fields = problem instanceof Refused ? [[this.#title, problem.field('title')], [this.#duration, problem.field('duration')]] : [];
    const wrong = fields.filter(([, text]) => text);
    for (const [input, text] of wrong) mark(input, text);
    if (wrong.length === 0) show(byId('new-task-fault'), sentence(problem));
    (wrong[0]?.[0] ?? byId('add')).focus();
  }
}

/** A UUID; `crypto.randomUUID` is there over HTTPS and on this machine alone. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
