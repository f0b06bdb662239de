// The user's sessions, and the end of them.

import { announce } from './announcer.js';
import { busy, byId, element, show } from './dom.js';
import { showMoment, timeElement } from './moments.js';
import { Refused, SessionOver, sentence } from './problems.js';

const BROWSERS = [[/Edg\//, 'Edge'], [/OPR\//, 'Opera'], [/Firefox\//, 'Firefox'], [/HeadlessChrome\/|Chrome\//, 'Chrome'], [/Safari\//, 'Safari']];
const SYSTEMS = [[/Android/, 'Android'], [/iPhone|iPad/, 'iOS'], [/Windows/, 'Windows'], [/Mac OS X/, 'macOS'], [/Linux/, 'Linux']];

/** A user agent in a few words; one that is no browser as it calls itself. */
function device(agent) {
  if (!agent) return 'Unknown program';
  const named = (table) => table.find(([pattern]) => pattern.test(agent))?.[1];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  if (!browser) return agent.length > 40 ? `${agent.slice(0, 39)}…` : agent;
  return system ? `${browser} on ${system}` : browser;
}

export class SessionsPanel {
  #api;
  #logOut;

  constructor(api, logOut) {
    this.#api = api;
    this.#logOut = logOut;
    // Others may have come and gone while nobody looked.
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && !byId('home').hidden) this.load();
    });
  }

  clear() {
    byId('sessions').replaceChildren();
    show(byId('sessions-fault'), '');
  }

  async load() {
    try {
      const sessions = await this.#api.sessions();
      show(byId('sessions-fault'), '');
      const focused = document.activeElement?.closest?.('#sessions li')?.dataset.id;
      byId('sessions').replaceChildren(...sessions.map((session) => this.#row(session)));
      byId('sessions').querySelector(`li[data-id="${CSS.escape(focused ?? '')}"] button`)?.focus();
    } catch (problem) {
      this.#fault(problem);
    }
  }

  #row(session) {
    const name = device(session.user_agent);
    const since = timeElement();
    showMoment(since, session.login_time);
    const badge = session.is_current ? [element('span', { className: 'badge' }, 'this one')] : [];
    const meta = element('p', { className: 'meta' }, session.ip ? `${session.ip} · ` : '', 'since ', since);
    const words = element('div', { className: 'words' }, element('p', { className: 'device', title: session.user_agent ?? '' }, name, ...badge), meta);
    const end = element('button', { type: 'button', className: 'quiet small' }, session.is_current ? 'Log out' : 'End');
    end.setAttribute('aria-label', session.is_current ? 'Log out: end this session' : `End the session of ${name}`);
    end.addEventListener('click', () => busy(end, () => (session.is_current ? this.#logOut() : this.#end(session, name))));
    const row = element('li', {}, words, end);
    row.dataset.id = session.id;
    return row;
  }

  async #end(session, name) {
    try {
      await this.#api.endSession(session.id);
    } catch (problem) {
      // It had ended by itself.
      if (!(problem instanceof Refused && problem.status === 404)) {
        this.#fault(problem);
        return;
      }
    }
    announce(`Ended: ${name}.`);
    byId('sessions-heading').focus();
    await this.load();
  }

  #fault(problem) {
    if (!(problem instanceof SessionOver)) show(byId('sessions-fault'), sentence(problem));
  }
}
