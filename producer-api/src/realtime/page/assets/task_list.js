// The list of tasks: rows that come, change and go without taking the reader's place away.

import { announce } from './announcer.js';
import { ask } from './dialogs.js';
import { busy, byId, setText, show } from './dom.js';
import * as duration from './duration.js';
import { LIMIT } from './live.js';
import { Refused, SessionOver, sentence } from './problems.js';
import { TaskRow } from './task_row.js';

const PAGE_MAX = 100;

export class TaskList {
  #tasks;
  #api;
  #rows = new Map();
  #next;
  /** Which list of the socket is the present one. */
  #round = 0;
  #list = byId('rows');

  constructor(tasks, api) {
    this.#tasks = tasks;
    this.#api = api;
    tasks.addEventListener('change', ({ detail }) => this.#show(detail));
    byId('more').addEventListener('click', () => this.#showMore());
  }

  /** Forgets what went wrong, and what is still asked for. */
  clear() {
    this.#next = undefined;
    this.#round += 1;
    show(byId('list-fault'), '');
  }

  /** The present list from the socket. What had been shown beyond it is asked for again. */
  async replace(tasks, hasMore) {
    this.clear();
    if (this.#tasks.replace(tasks, hasMore)) await this.#reload();
  }

  async #reload() {
    const round = this.#round;
    const wanted = this.#tasks.length;
    const found = new Set();
    let next;
    try {
      do {
        const page = await this.#api.tasks({ next, limit: Math.min(PAGE_MAX, Math.max(LIMIT, wanted)) });
        // There is a newer list, which asks by itself.
        if (round !== this.#round) return;
        for (const { id } of page.tasks) found.add(id);
        next = page.next;
        this.#tasks.extend(page.tasks, next !== undefined);
      } while (next && found.size < wanted);
    } catch (problem) {
      if (round === this.#round) this.#fault(problem);
      return;
    }
    // What came by the socket meanwhile is newer than any page.
    const oldest = this.#tasks.all().findLast(({ id }) => found.has(id));
    const ids = new Set(this.#tasks.all().filter((task) => found.has(task.id) || (oldest && task.created_at > oldest.created_at)).map(({ id }) => id));
    this.#tasks.retain(ids);
    this.#next = next;
  }

  async #showMore() {
    await busy(byId('more'), async () => {
      try {
        const before = this.#tasks.length;
        // The first time there is no cursor yet: the list came by the socket.
        const limit = Math.min(PAGE_MAX, before + LIMIT);
        const round = this.#round;
        const page = await this.#api.tasks(this.#next ? { next: this.#next } : { limit });
        if (round === this.#round) this.#next = page.next;
        show(byId('list-fault'), '');
        this.#tasks.extend(page.tasks, page.next !== undefined);
        announce(`${this.#tasks.length - before} more.`);
      } catch (problem) {
        this.#fault(problem);
      }
    });
  }

  #show({ added, changed, removed, isNews }) {
    const place = this.#placeOf(removed);
    for (const { id } of removed) {
      this.#rows.get(id)?.node.remove();
      this.#rows.delete(id);
    }
    const tasks = this.#tasks.all();
    if (tasks.length === 0) {
      this.#list.replaceChildren();
      this.#rows.clear();
    }
    let at = this.#list.firstElementChild;
    for (const task of tasks) {
      let row = this.#rows.get(task.id);
      if (row) row.update(task);
      else {
        row = new TaskRow(task, { rename: (of, title) => this.#rename(of, title), remove: (of, its) => this.#remove(of, its) });
        this.#rows.set(task.id, row);
      }
      // A node is moved only if it has to be: moving would take the focus from it.
      if (row.node === at) at = at.nextElementSibling;
      else this.#list.insertBefore(row.node, at);
    }
    this.#frame(tasks);
    this.#restore(place);
    if (isNews) this.#tell(added, changed, removed);
  }

  #frame(tasks) {
    const { isLoaded, hasMore } = this.#tasks;
    byId('list-card').setAttribute('aria-busy', String(!isLoaded));
    byId('list-loading').hidden = isLoaded;
    byId('empty').hidden = !isLoaded || tasks.length > 0 || hasMore;
    this.#list.hidden = tasks.length === 0;
    byId('more').hidden = !isLoaded || !hasMore;
    const seconds = tasks.reduce((sum, task) => sum + duration.secondsOf(task.duration), 0);
    const count = hasMore ? `the newest ${tasks.length}` : `${tasks.length} ${tasks.length === 1 ? 'task' : 'tasks'}, ${duration.inWords(seconds)}`;
    setText(byId('summary'), isLoaded && tasks.length > 0 ? count : '');
  }

  #tell(added, changed, removed) {
    for (const { id } of [...added, ...changed]) this.#rows.get(id)?.highlight();
    for (const { title } of added) announce(`Added: “${title}”.`);
    for (const { title } of changed) announce(`Renamed: “${title}”.`);
    for (const { title } of removed) announce(`Deleted: “${title}”.`);
  }

  /** Where the focus is to go, if it is on a row that is about to go. */
  #placeOf(removed) {
    const going = removed.map(({ id }) => this.#rows.get(id)).find((row) => row?.focused);
    if (!going) return undefined;
    if (going.isEdited) announce('The task that you were renaming was deleted.');
    return this.#placeNear(going, going.focused, removed);
  }

  /** The same control of the next row, or of the one before, that stays. */
  #placeNear(row, control, removed) {
    const gone = new Set(removed.map(({ id }) => String(id)));
    const staying = (step) => {
      let found = row.node[step];
      while (found && gone.has(found.dataset.id)) found = found[step];
      return found;
    };
    const near = staying('nextElementSibling') ?? staying('previousElementSibling');
    return { control, id: near ? Number(near.dataset.id) : undefined };
  }

  #restore(place) {
    if (!place) return;
    const row = this.#rows.get(place.id);
    if (row) row.focus(place.control);
    else byId('tasks-heading').focus();
  }

  async #rename(task, title) {
    try {
      this.#tasks.put(await this.#api.renameTask(task.id, title));
    } catch (problem) {
      if (problem instanceof Refused && problem.status === 404) this.#tasks.remove(task.id, task.version);
      throw problem;
    }
  }

  #remove(task, row) {
    const place = this.#placeNear(row, 'delete', [task]);
    ask(task.title, async () => {
      try {
        await this.#api.deleteTask(task.id);
      } catch (problem) {
        // Somebody else was faster: what was wanted is so.
        if (!(problem instanceof Refused && problem.status === 404)) throw problem;
      }
      // The dialog gives the focus back to its button first, which then hands it on.
      return () => {
        // The socket told of it before the answer came: then there is no button any more to give the focus back to.
        if (!row.node.isConnected) this.#restore(place);
        this.#tasks.remove(task.id, task.version);
      };
    });
  }

  #fault(problem) {
    if (!(problem instanceof SessionOver)) show(byId('list-fault'), sentence(problem));
  }
}
