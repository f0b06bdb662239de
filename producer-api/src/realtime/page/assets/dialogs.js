// The question before a task is deleted.

import { busy, byId, show } from './dom.js';
import { SessionOver, sentence } from './problems.js';

let confirmed;

/**
 * Asks, and does `work` on a yes, with the dialog open until it is done: what goes wrong is said in it. What `work` gives
 * is called once the dialog is closed and the focus back where it was.
 */
export function ask(title, work) {
  const dialog = byId('delete-dialog');
  byId('delete-title').textContent = `“${title}”`;
  show(byId('delete-fault'), '');
  confirmed = work;
  dialog.showModal();
  // Enter by habit should keep it.
  byId('keep').focus();
}

/** Closes whatever is open: the session is over. */
export function closeDialogs() {
  byId('delete-dialog').close();
}

byId('keep').addEventListener('click', closeDialogs);
byId('delete').addEventListener('click', () =>
  busy(byId('delete'), async () => {
    try {
      const after = await confirmed();
      closeDialogs();
      after();
    } catch (problem) {
      if (problem instanceof SessionOver) closeDialogs();
      else show(byId('delete-fault'), sentence(problem));
    }
  }),
);
