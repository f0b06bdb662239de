// Whether the device has a network at all.
//
// Only the moment it goes counts. What the browser thinks when the page is loaded does not: the page came from somewhere,
// and a machine without any network but itself may still run Warren.

let isGone = false;

addEventListener('offline', () => {
  isGone = true;
});
addEventListener('online', () => {
  isGone = false;
});

export const isOffline = () => isGone;

/** Somebody knows better. */
export function tryAnyway() {
  isGone = false;
}
