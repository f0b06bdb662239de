// Tells users of screen readers what changed, in few words.

import { byId } from './dom.js';

const SENTENCES_MAX = 3;
const GATHER_MS = 300;

let gathered = [];
let timer;

/** Says a sentence soon, together with others of the same moment. */
export function announce(sentence) {
  gathered.push(sentence);
  timer ??= setTimeout(() => {
    const sentences = gathered;
    gathered = [];
    timer = undefined;
    const said = sentences.length > SENTENCES_MAX ? `${sentences.length} changes.` : sentences.join(' ');
    const region = byId('announcements');
    // The same words twice would be no change, and so not be said.
    region.textContent = region.textContent === said ? `${said}\u00a0` : said;
  }, GATHER_MS);
}
