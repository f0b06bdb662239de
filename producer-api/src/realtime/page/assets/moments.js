// Instants as people say them. Each stands in a <time> that also holds the instant itself.

import { element, setText } from './dom.js';

const EVERY_MS = 20_000;
const UNITS = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['week', 604_800],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const absolute = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** Such as `3 minutes ago`. A clock that is a little behind the server's makes no future. */
export function inWords(instant, now) {
  const seconds = Math.min(0, (instant - now) / 1000);
  const unit = UNITS.find(([, length]) => -seconds >= length);
  return unit ? relative.format(Math.ceil(seconds / unit[1]), unit[0]) : 'just now';
}

/** A <time> that keeps itself true. */
export function timeElement() {
  return element('time', { className: 'moment' });
}

/** Shows an instant of the API in such an element. */
export function showMoment(node, iso) {
  if (node.dateTime === iso) return;
  node.dateTime = iso;
  node.title = absolute.format(new Date(iso));
  setText(node, inWords(Date.parse(iso), Date.now()));
}

setInterval(() => {
  const now = Date.now();
  for (const node of document.querySelectorAll('time.moment')) {
    if (node.dateTime) setText(node, inWords(Date.parse(node.dateTime), now));
  }
}, EVERY_MS);
