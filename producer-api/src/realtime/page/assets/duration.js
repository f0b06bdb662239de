// How long a task takes: as the API writes it, as people write it, and as people read it.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
export const SECONDS_MAX = 366 * DAY;

/** Seconds of the API's `[D ]HH:MM:SS[.uuuuuu]`. */
export function secondsOf(text) {
  const parts = /^(?:(\d+) )?(\d+):(\d\d):(\d\d)(\.\d+)?$/.exec(text);
  if (!parts) return Number.NaN;
  const [, days = '0', hours, minutes, seconds, fraction = '0'] = parts;
  return Number(days) * DAY + Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) + Number(fraction);
}

/** Such as `1 h 30 min`. */
export function inWords(seconds) {
  if (!Number.isFinite(seconds)) return '';
  const parts = [
    [Math.floor(seconds / DAY), 'd'],
    [Math.floor((seconds % DAY) / HOUR), 'h'],
    [Math.floor((seconds % HOUR) / MINUTE), 'min'],
    [Math.round((seconds % MINUTE) * 1000) / 1000, 's'],
  ];
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}\u00a0${unit}`).join(' ') || '0\u00a0s';
}

/**
 * What somebody typed: minutes, `HH:MM:SS`, or `1h 30m`. Gives `{seconds}`, or `{fault}` with what to write instead.
 * `1:30` is refused: to some it is an hour and a half, to others a minute and a half.
 */
export function parse(typed) {
  const text = typed.trim().toLowerCase();
  if (text === '') return { fault: 'Say how long it takes: minutes, or HH:MM:SS.' };
  const seconds = typedSeconds(text);
  if (seconds === undefined) {
    const twoParts = /^\d{1,2}:[0-5]\d$/.test(text) ? text.padStart(5, '0') : undefined;
    const hint = twoParts ? `Write ${twoParts}:00 for hours, or 00:${twoParts} for minutes.` : 'Write minutes, such as 90, or HH:MM:SS, such as 01:30:00.';
    return { fault: hint };
  }
  if (seconds <= 0) return { fault: 'A task takes some time: more than zero.' };
  if (seconds > SECONDS_MAX) return { fault: 'A task takes 366 days at the most.' };
  return { seconds };
}

function typedSeconds(text) {
  if (/^\d+$/.test(text)) return Number(text) * MINUTE;
  const clock = /^(\d+):([0-5]\d):([0-5]\d)$/.exec(text);
  if (clock) return Number(clock[1]) * HOUR + Number(clock[2]) * MINUTE + Number(clock[3]);
  const units = /^(?:(\d+)\s*h(?:ours?)?)?\s*(?:(\d+)\s*m(?:in(?:utes?)?)?)?$/.exec(text);
  if (units) return Number(units[1] ?? 0) * HOUR + Number(units[2] ?? 0) * MINUTE;
  return undefined;
}
