// Whether what is shown is what is.

import { byId, setText } from './dom.js';

const WORDS = { connecting: 'Connecting', live: 'Live', stale: 'Delayed', waiting: 'Reconnecting', offline: 'Offline', stopped: 'Not live' };

const SENTENCES = {
  offline: 'You are offline. What you see may be old, and changes can’t be made.',
  waiting: 'The connection was lost. What you see may be old.',
  connecting: 'Reconnecting. What you see may be old.',
  stale: 'Changes arrive late at the moment. What you see may be old.',
  stopped: 'This window gets no changes any more.',
};

/** A reconnection that is quicker than this is not worth a word. */
const PATIENCE_MS = 1_000;

export class ConnectionBanner {
  #wasLive = false;
  #timer;
  #ticking;

  constructor(live) {
    live.addEventListener('state', ({ detail }) => this.#show(detail));
    byId('try-now').addEventListener('click', () => live.tryNow());
  }

  clear() {
    this.#wasLive = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    clearInterval(this.#ticking);
    byId('banner').hidden = true;
    document.body.classList.remove('stale');
  }

  #show(state) {
    byId('state').dataset.state = state.name;
    setText(byId('state-word'), WORDS[state.name]);
    clearInterval(this.#ticking);
    if (state.name === 'live') {
      this.clear();
      this.#wasLive = true;
      return;
    }
    // The first connection is shown by the list that loads.
    if (state.name === 'connecting' && !this.#wasLive && byId('banner').hidden) return;
    const appear = () => {
      this.#timer = undefined;
      document.body.classList.add('stale');
      byId('banner').hidden = false;
    };
    // One sentence for all the tries, or a screen reader would never stop.
    const goesOn = state.name === 'connecting' && !byId('banner').hidden && byId('banner').dataset.state === 'waiting';
    if (!goesOn) this.#write(state);
    if (['offline', 'stale', 'stopped'].includes(state.name)) appear();
    else if (byId('banner').hidden) this.#timer ??= setTimeout(appear, PATIENCE_MS);
  }

  #write(state) {
    byId('banner').dataset.state = state.name;
    byId('try-now').hidden = !['waiting', 'offline', 'stopped'].includes(state.name);
    setText(byId('try-now'), 'Try now');
    setText(byId('banner-text'), SENTENCES[state.name]);
    if (state.name !== 'waiting') return;
    const button = byId('try-now');
    const count = () => {
      const seconds = Math.max(1, Math.round((state.until - Date.now()) / 1000));
      // On the button, which no screen reader reads out each second.
      setText(button, `Try now (${seconds} s)`);
    };
    count();
    this.#ticking = setInterval(count, 1_000);
  }
}
