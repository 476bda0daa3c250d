/**
 * A worker that ticks 30 times a second, because the timers of a page in the background run only
 * once a second.
 */
setInterval(() => postMessage(0), 1000 / 30);
