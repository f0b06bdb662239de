// One task of the list: what it says, and its title being changed in place.

import { element, setText, show, busy } from './dom.js';
import * as duration from './duration.js';
import { showMoment, timeElement } from './moments.js';
import { Refused, SessionOver, sentence } from './problems.js';

export const TITLE_MAX = 200;

/** What is wrong with a title before anybody is asked. */
export function titleFault(title) {
  if (title === '') return 'A task needs a title.';
  return [...title].length > TITLE_MAX ? `A title has ${TITLE_MAX} characters at the most.` : '';
}

/** Actions are `rename(task, title)` and `remove(task, row)`, both promises. */
export class TaskRow {
  #task;
  #actions;
  #title = element('p', { className: 'title', dir: 'auto' });
  #length = element('span', { className: 'length' });
  #created = timeElement();
  #editedLine = element('span', { className: 'edited', hidden: true });
  #edited = timeElement();
  #rename = element('button', { type: 'button', className: 'quiet small' }, 'Rename');
  #delete = element('button', { type: 'button', className: 'quiet small' }, 'Delete');
  #editor;

  constructor(task, actions) {
    this.#actions = actions;
    this.#editedLine.append(' · renamed ', this.#edited);
    const meta = element('p', { className: 'meta' }, this.#length, ' · ', this.#created, this.#editedLine);
    this.words = element('div', { className: 'words' }, this.#title, meta);
    this.buttons = element('div', { className: 'actions' }, this.#rename, this.#delete);
    this.node = element('li', { className: 'row' }, this.words, this.buttons);
    this.node.dataset.id = task.id;
    this.#rename.addEventListener('click', () => this.#edit());
    this.#delete.addEventListener('click', () => this.#actions.remove(this.#task, this));
    this.update(task);
  }

  update(task) {
    const before = this.#task;
    this.#task = task;
    setText(this.#title, task.title);
    setText(this.#length, duration.inWords(duration.secondsOf(task.duration)));
    showMoment(this.#created, task.created_at);
    showMoment(this.#edited, task.updated_at);
    this.#editedLine.hidden = task.updated_at === task.created_at;
    this.#rename.setAttribute('aria-label', `Rename “${task.title}”`);
    this.#delete.setAttribute('aria-label', `Delete “${task.title}”`);
    if (this.#editor && before && before.title !== task.title && !this.#editor.saving) {
      show(this.#editor.note, `Meanwhile renamed to “${task.title}”. Save to replace that.`);
    }
  }

  /** Draws the eye for a moment. */
  highlight() {
    this.node.classList.remove('fresh');
    // Reading a size makes the browser see the class gone, so that the animation starts anew.
    void this.node.offsetWidth;
    this.node.classList.add('fresh');
  }

  get isEdited() {
    return this.#editor !== undefined;
  }

  focus(control = 'rename') {
    (control === 'delete' ? this.#delete : this.#rename).focus();
  }

  /** Which of its controls has the focus; none if none. */
  get focused() {
    const active = document.activeElement;
    if (!this.node.contains(active)) return undefined;
    return active === this.#delete ? 'delete' : 'rename';
  }

  #edit() {
    const id = `rename-${this.#task.id}`;
    const input = element('input', { type: 'text', id, value: this.#task.title, autocomplete: 'off', dir: 'auto' });
    input.setAttribute('aria-label', `New title of “${this.#task.title}”`);
    input.setAttribute('aria-describedby', `${id}-fault ${id}-note`);
    const fault = element('p', { className: 'fault', id: `${id}-fault`, hidden: true });
    const note = element('p', { className: 'hint', id: `${id}-note`, hidden: true });
    note.setAttribute('role', 'status');
    fault.setAttribute('role', 'alert');
    const save = element('button', { type: 'submit', className: 'main small' }, 'Save');
    const cancel = element('button', { type: 'button', className: 'quiet small' }, 'Cancel');
    const form = element('form', { className: 'editor', method: 'post', noValidate: true }, input, save, cancel, fault, note);
    this.#editor = { form, input, fault, note, save, saving: false };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    input.addEventListener('input', () => this.#fault(''));
    cancel.addEventListener('click', () => this.#close());
    form.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || event.isComposing) return;
      event.preventDefault();
      this.#close();
    });
    this.words.hidden = true;
    this.buttons.hidden = true;
    this.node.append(form);
    input.focus();
    input.select();
  }

  #fault(text) {
    show(this.#editor.fault, text);
    if (text) this.#editor.input.setAttribute('aria-invalid', 'true');
    else this.#editor.input.removeAttribute('aria-invalid');
  }

  async #save() {
    const editor = this.#editor;
    const title = editor.input.value.trim();
    if (title === this.#task.title) {
      this.#close();
      return;
    }
    if (titleFault(title)) {
      this.#fault(titleFault(title));
      editor.input.focus();
      return;
    }
    await busy(editor.save, async () => {
      editor.saving = true;
      try {
        await this.#actions.rename(this.#task, title);
        if (this.#editor === editor) this.#close();
      } catch (problem) {
        if (problem instanceof SessionOver || this.#editor !== editor) return;
        this.#fault((problem instanceof Refused && problem.field('title')) || sentence(problem));
        editor.input.focus();
      } finally {
        editor.saving = false;
      }
    });
  }

  #close() {
    const hadFocus = this.#editor.form.contains(document.activeElement);
    this.#editor.form.remove();
    this.#editor = undefined;
    this.words.hidden = false;
    this.buttons.hidden = false;
    if (hadFocus) this.#rename.focus();
  }
}
