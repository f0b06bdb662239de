// The access token, for whoever tries the API by hand.

import { busy, byId, setText } from './dom.js';
import { SessionOver, sentence } from './problems.js';

export class ToolsPanel {
  #session;

  constructor(session) {
    this.#session = session;
    byId('copy-token').addEventListener('click', () => busy(byId('copy-token'), () => this.#copy()));
  }

  clear() {
    setText(byId('copy-result'), '');
    byId('token').hidden = true;
    byId('token').value = '';
  }

  async #copy() {
    this.clear();
    try {
      const token = await this.#session.token();
      const minutes = Math.max(1, Math.round(this.#session.secondsLeft / 60));
      const lasts = `It is good for ${minutes === 1 ? 'a minute' : `${minutes} minutes`}, or until you log out.`;
      if (await written(token)) {
        setText(byId('copy-result'), `Copied. ${lasts}`);
        return;
      }
      // Over plain HTTP from another machine a page may not write to the clipboard.
      const field = byId('token');
      field.hidden = false;
      field.value = token;
      field.select();
      setText(byId('copy-result'), `Copy it from the field. ${lasts}`);
    } catch (problem) {
      if (!(problem instanceof SessionOver)) setText(byId('copy-result'), sentence(problem));
    }
  }
}

async function written(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
