// The question before a task is deleted.

import { byId, show } from './dom.js';
import { SessionOver, sentence } from './problems.js';

/** The question that is or was asked last: the work of a yes, and whether it is being done. */
let asked;

/**
 * Asks, and does `work` on a yes, with the dialog open until it is done: what goes wrong is said in it. What `work` gives
 * is called once the dialog is closed and the focus back where it was. Whoever leaves meanwhile can be asked something else,
 * which this answer then leaves alone.
 */
export function ask(title, work) {
  const dialog = byId('delete-dialog');
  byId('delete-title').textContent = `“${title}”`;
  show(byId('delete-fault'), '');
  asked = { work, isBusy: false };
  showBusy();
  dialog.showModal();
  // Enter by habit should keep it.
  byId('keep').focus();
}

/** Closes whatever is open: the session is over. */
export function closeDialogs() {
  byId('delete-dialog').close();
}

/** The button stays focusable while it can't be pressed. */
function showBusy() {
  byId('delete').classList.toggle('busy', asked.isBusy);
  byId('delete').setAttribute('aria-disabled', String(asked.isBusy));
}

byId('keep').addEventListener('click', closeDialogs);
byId('delete').addEventListener('click', async () => {
  const question = asked;
  if (question.isBusy) return;
  question.isBusy = true;
  showBusy();
  try {
    const after = await question.work();
    if (question === asked) closeDialogs();
    after();
  } catch (problem) {
    if (question !== asked) return;
    if (problem instanceof SessionOver) closeDialogs();
    else show(byId('delete-fault'), sentence(problem));
  } finally {
    question.isBusy = false;
    showBusy();
  }
});
