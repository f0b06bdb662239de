// The tasks that this window knows, and the rules by which news changes them. No document and no network in here.
//
// News comes by two ways, the socket and the answers to this window's own requests, in any order. A task's version says
// which of two states is newer; a deleted task stays deleted, whatever arrives late.

const byNewest = (one, other) =>
  one.created_at === other.created_at ? other.id - one.id : one.created_at < other.created_at ? 1 : -1;

/**
 * Fires `change` with `detail`: `{added, changed, removed, isNews}`, lists of tasks; `isNews` if they became so, and not
 * only known.
 */
export class Tasks extends EventTarget {
  #known = new Map();
  #gone = new Map();
  #sorted;
  /** Whether the server has older ones. */
  hasMore = false;
  /** Whether there has been a list at all. */
  isLoaded = false;

  get length() {
    return this.#known.size;
  }

  get(id) {
    return this.#known.get(id);
  }

  /** Newest first. */
  all() {
    this.#sorted ??= [...this.#known.values()].sort(byNewest);
    return this.#sorted;
  }

  clear() {
    this.#known.clear();
    this.#gone.clear();
    this.#sorted = undefined;
    this.hasMore = false;
    this.isLoaded = false;
    this.#tell({});
  }

  /**
   * The present list, newest first. It is the truth about everything as new as its last task; what is older was shown
   * before and is in doubt: gives whether there is such, so that it is asked for again.
   */
  replace(tasks, hasMore) {
    const listed = new Set(tasks.map(({ id }) => id));
    const last = tasks.at(-1);
    const isCovered = (task) => !hasMore || (last !== undefined && byNewest(task, last) < 0);
    const removed = this.all().filter((task) => !listed.has(task.id) && isCovered(task));
    for (const { id, version } of removed) this.#forget(id, version);
    const older = this.all().some((task) => !listed.has(task.id));
    // A task on the list is there, whatever was known of it.
    for (const { id } of tasks) this.#gone.delete(id);
    const { added, changed } = this.#merge(tasks);
    this.hasMore = older ? this.hasMore : hasMore;
    const isNews = this.isLoaded;
    this.isLoaded = true;
    this.#tell({ added, changed, removed, isNews });
    return older;
  }

  /** Older tasks, asked for page by page. */
  extend(tasks, hasMore) {
    const { added, changed } = this.#merge(tasks);
    this.hasMore = hasMore;
    this.#tell({ added, changed });
  }

  /** Takes away what is not among the ids: they were asked for again and not there. */
  retain(ids) {
    const removed = this.all().filter(({ id }) => !ids.has(id));
    for (const { id, version } of removed) this.#forget(id, version);
    this.#tell({ removed });
  }

  /** A task's state: a new task, or a new title. */
  put(task) {
    const last = this.all().at(-1);
    // Older than all that is shown, while there is more between: it would stand beside a gap.
    const isBeyond = this.hasMore && last !== undefined && byNewest(task, last) > 0 && !this.#known.has(task.id);
    if (isBeyond) return;
    const news = this.#merge([task]);
    if (news.added.length + news.changed.length > 0) this.#tell({ ...news, isNews: true });
  }

  /** A task is gone. */
  remove(id, version) {
    const task = this.#known.get(id);
    this.#forget(id, Math.max(version ?? 0, task?.version ?? 0));
    if (task) this.#tell({ removed: [task], isNews: true });
  }

  #merge(tasks) {
    const added = [];
    const changed = [];
    for (const task of tasks) {
      const known = this.#known.get(task.id);
      const isNews = !this.#gone.has(task.id) && (!known || known.version < task.version);
      if (!isNews) continue;
      this.#known.set(task.id, task);
      (known ? changed : added).push(task);
    }
    this.#sorted = undefined;
    return { added, changed };
  }

  #forget(id, version) {
    this.#known.delete(id);
    this.#gone.set(id, version);
    this.#sorted = undefined;
  }

  #tell({ added = [], changed = [], removed = [], isNews = false }) {
    this.dispatchEvent(new CustomEvent('change', { detail: { added, changed, removed, isNews } }));
  }
}
