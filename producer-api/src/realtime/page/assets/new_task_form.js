// The form that makes a task.

import { busy, byId, mark, setText, show } from './dom.js';
import * as duration from './duration.js';
import { Refused, SessionOver, sentence } from './problems.js';
import { titleFault } from './task_row.js';

const HINT = 'Minutes, or HH:MM:SS';

export class NewTaskForm {
  #tasks;
  #api;
  #title = byId('title');
  #duration = byId('duration');
  /** The key of a request whose answer never came: sent again with the same words, it makes no second task. */
  #unanswered;

  constructor(tasks, api) {
    this.#tasks = tasks;
    this.#api = api;
    byId('new-task').addEventListener('submit', (event) => {
      event.preventDefault();
      busy(byId('add'), () => this.#add());
    });
    this.#title.addEventListener('input', () => mark(this.#title, ''));
    this.#duration.addEventListener('input', () => {
      mark(this.#duration, '');
      const { seconds } = duration.parse(this.#duration.value);
      setText(byId('duration-hint'), seconds ? `= ${duration.inWords(seconds)}` : HINT);
    });
  }

  clear() {
    byId('new-task').reset();
    mark(this.#title, '');
    mark(this.#duration, '');
    show(byId('new-task-fault'), '');
    setText(byId('duration-hint'), HINT);
    this.#unanswered = undefined;
  }

  async #add() {
    const title = this.#title.value.trim();
    const { seconds, fault } = duration.parse(this.#duration.value);
    show(byId('new-task-fault'), '');
    mark(this.#title, titleFault(title));
    mark(this.#duration, fault ?? '');
    if (titleFault(title) || fault) {
      (titleFault(title) ? this.#title : this.#duration).focus();
      return;
    }
    const words = JSON.stringify([title, seconds]);
    const key = this.#unanswered?.words === words ? this.#unanswered.key : newKey();
    this.#unanswered = { words, key };
    try {
      const task = await this.#api.createTask({ title, duration: String(seconds) }, key);
      this.clear();
      this.#tasks.put(task);
      this.#title.focus();
    } catch (problem) {
      if (!(problem instanceof SessionOver)) this.#refused(problem);
    }
  }

  #refused(problem) {
    // It was answered, neither with a failure nor with “still at it”: the next try is another request.
    if (problem instanceof Refused && problem.status < 500 && problem.status !== 409) this.#unanswered = undefined;
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
