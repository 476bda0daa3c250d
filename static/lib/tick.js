/**
 * A worker that ticks 30 times a second: a page in the background gets its own timers once a second
 * only.
 */
setInterval(() => postMessage(0), 1000 / 30);
