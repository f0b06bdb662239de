// The form that makes a task.

import { byId, mark, setText, show } from './dom.js';
import * as duration from './duration.js';
import { Refused, SessionOver, Unreachable, sentence } from './problems.js';
import { titleFault } from './task_row.js';

const HINT = 'Minutes, or HH:MM:SS';

export class NewTaskForm {
  #tasks;
  #api;
  #title = byId('title');
  #duration = byId('duration');
  /**
   * By its words the key of a request whose answer never came: sent again with the same words, it makes no second task. As
   * long as they stand in the form, or in the list of what was lost; typed anew they are meant as another task.
   */
  #keys = new Map();
  /** What is wrong with what stands in the form. */
  #fault = '';
  /** By its words what is to be said of a task that was not made while the next one was typed. */
  #lost = new Map();
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
    this.#title.addEventListener('input', () => {
      mark(this.#title, '');
      this.#forgetKeys();
    });
    this.#duration.addEventListener('input', () => {
      mark(this.#duration, '');
      this.#forgetKeys();
      const { seconds } = duration.parse(this.#duration.value);
      setText(byId('duration-hint'), seconds ? `= ${duration.inWords(seconds)}` : HINT);
    });
  }

  /** Forgets what was typed and what became of it, and what is still to become of it. */
  clear() {
    this.#empty();
    this.#keys.clear();
    this.#lost.clear();
    this.#sending = new Set();
    this.#last = Promise.resolve();
    byId('add').classList.remove('busy');
    this.#say('');
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

  /** What is wrong with what stands in the form, below what was lost. */
  #say(fault) {
    this.#fault = fault;
    show(byId('new-task-fault'), [...this.#lost.values(), fault].filter((text) => text).join('\n'));
  }

  #submit() {
    const task = this.#typed();
    this.#say('');
    mark(this.#title, titleFault(task.title));
    mark(this.#duration, task.fault ?? '');
    if (titleFault(task.title) || task.fault) {
      (titleFault(task.title) ? this.#title : this.#duration).focus();
      return;
    }
    // Pressed twice.
    if (this.#sending.has(task.words)) return;
    this.#sending.add(task.words);
    this.#lost.delete(task.words);
    this.#say('');
    byId('add').classList.add('busy');
    const sending = this.#sending;
    this.#last = this.#last.then(() => this.#send(task, sending));
  }

  /** Of words that were changed: whoever types them again means another task. */
  #forgetKeys() {
    for (const words of this.#keys.keys()) {
      if (!this.#sending.has(words) && !this.#lost.has(words)) this.#keys.delete(words);
    }
  }

  /** Nothing becomes of it any more once the form was cleared: then others are on their way. */
  async #send({ title, seconds, words }, sending) {
    const isOver = () => sending !== this.#sending;
    if (isOver()) return;
    const key = this.#keys.get(words) ?? newKey();
    this.#keys.set(words, key);
    try {
      const task = await this.#api.createTask({ title, duration: String(seconds) }, key);
      if (isOver()) return;
      this.#keys.delete(words);
      this.#tasks.put(task);
      // Whoever types the next one already keeps it.
      if (this.#typed().words === words) {
        const isHere = byId('new-task').contains(document.activeElement);
        this.#empty();
        if (isHere) this.#title.focus();
      }
    } catch (problem) {
      if (isOver()) return;
      // Answered, neither with a failure nor with “still at it”: the next try is another request.
      if (problem instanceof Refused && problem.status < 500 && problem.status !== 409) this.#keys.delete(words);
      if (!(problem instanceof SessionOver)) this.#refused(problem, title, words);
    } finally {
      if (!isOver()) {
        sending.delete(words);
        byId('add').classList.toggle('busy', sending.size > 0);
      }
    }
  }

  #refused(problem, title, words) {
    if (this.#typed().words !== words) {
      const what = problem instanceof Unreachable ? 'may not have been added' : 'was not added';
      this.#lost.set(words, `“${title}” ${what}. ${sentence(problem)}`);
      this.#say(this.#fault);
      return;
    }
    const fields = problem instanceof Refused ? [[this.#title, problem.field('title')], [this.#duration, problem.field('duration')]] : [];
    const wrong = fields.filter(([, text]) => text);
    for (const [input, text] of wrong) mark(input, text);
    if (wrong.length === 0) this.#say(sentence(problem));
    (wrong[0]?.[0] ?? byId('add')).focus();
  }
}

/** A UUID; `crypto.randomUUID` is there over HTTPS and on this machine alone. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20)}`;
}
