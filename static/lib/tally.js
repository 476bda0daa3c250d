/** Computes the summary of a broadcast from measurements that the dock takes during it. Pure. */

/**
 * @typedef {object} Summary
 * @property {number} seconds from the start of the broadcast to its end
 * @property {boolean} failed whether a problem ended the broadcast; the dock shows the problem
 *   beside the summary
 * @property {number} reconnects how many times the broadcast reconnected and continued
 * @property {number} bitrate the mean bitrate that OBS sent; 0 if it was not measured
 * @property {number} loss the mean share of packets that were lost on the way to the stage
 * @property {number} encoderLag the mean share of frames that the encoder skipped
 * @property {number} renderLag
 * @typedef {Pick<import('./broadcast.js').State, 'phase' | 'sending'>} Now
 */

const NOTHING = Object.freeze({
  n: 0,
  received: 0,
  reconnects: 0,
  bitrate: 0,
  loss: 0,
  encoderLag: 0,
  renderLag: 0,
});

/** Computes the summary of a broadcast from samples that are taken at equal intervals. */
export class Tally {
  /** The start of the broadcast in milliseconds; 0 while there is none. */
  #start = 0;
  #broken = false;
  #sums = { ...NOTHING };

  /**
   * Follows the state of the broadcast.
   * @param {Now} state @param {number} now milliseconds
   * @returns {Summary | null} the summary, when the broadcast is over
   */
  follow({ phase, sending }, now) {
    const started = this.#start > 0;
    if (started && (phase === 'idle' || (phase === 'trouble' && !sending)))
      return this.#end(now, phase === 'trouble');
    if (phase === 'live') {
      if (!started) {
        this.#start = now;
        this.#sums = { ...NOTHING };
        this.#broken = false;
      }
      // Count only reconnects after which the broadcast continued, because OBS also tries to
      // reconnect after a kick.
      if (this.#broken) this.#sums.reconnects++;
      this.#broken = false;
    } else if (started && phase === 'reconnecting') {
      this.#broken = true;
    }
    return null;
  }

  /**
   * @param {import('./numbers.js').Sent} sent
   * @param {import('./types.js').Presence | undefined} presence
   */
  sample(sent, presence) {
    if (this.#start === 0) return;
    const sums = this.#sums;
    if (sent.bitrate > 0) {
      sums.n++;
      sums.bitrate += sent.bitrate;
      sums.encoderLag += sent.encoderLag;
      sums.renderLag += sent.renderLag;
    }
    if (presence?.reception) {
      sums.received++;
      sums.loss += presence.reception.loss;
    }
    const since = Date.parse(presence?.since ?? '');
    if (since < this.#start) this.#start = since; // as after a reload of the page
  }

  /** @param {number} now @param {boolean} failed @returns {Summary} */
  #end(now, failed) {
    const { n, received, reconnects, bitrate, loss, encoderLag, renderLag } = this.#sums;
    const mean = (/** @type {number} */ sum, /** @type {number} */ of) => (of > 0 ? sum / of : 0);
    const seconds = Math.max(0, (now - this.#start) / 1000);
    this.#start = 0;
    return {
      seconds,
      failed,
      reconnects,
      bitrate: mean(bitrate, n),
      loss: mean(loss, received),
      encoderLag: mean(encoderLag, n),
      renderLag: mean(renderLag, n),
    };
  }
}

/**
 * The problems in a summary, the worst first.
 * @param {Summary} s
 * @returns {('reconnects' | 'loss' | 'encoderLag' | 'renderLag')[]}
 */
export function stains({ reconnects, loss, encoderLag, renderLag }) {
  /** @type {('reconnects' | 'loss' | 'encoderLag' | 'renderLag')[]} */
  const list = [];
  if (reconnects > 0) list.push('reconnects');
  if (loss > 0.01) list.push('loss');
  if (encoderLag > 0.01) list.push('encoderLag');
  if (renderLag > 0.01) list.push('renderLag');
  return list;
}
