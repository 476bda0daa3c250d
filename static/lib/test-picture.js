/**
 * A moving picture with sound that this page generates: colour bars, a clock whose hand turns, and
 * a beep at each second.
 */

const WIDTH = 640;
const HEIGHT = 360;
const BARS = Object.freeze([
  '#c0c0c0',
  '#c0c000',
  '#00c0c0',
  '#00c000',
  '#c000c0',
  '#c00000',
  '#0000c0',
]);
/**
 * How many seconds the beep sounds and the dot is white. Both begin together at each full second,
 * so that picture and sound can be compared.
 */
const BEEP = 0.12;
const HUM = 0.03;
const LOUD = 0.25;

/**
 * Call this function after a click, because otherwise browsers block the sound.
 * @param {string} title
 * @returns {{stream: MediaStream, canvas: HTMLCanvasElement, stop: () => void}}
 */
export function createTestPicture(title) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  canvas.setAttribute('role', 'img');
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
  const sound = createSound();
  draw(pen, title, new Date());
  const stream = canvas.captureStream(30);
  stream.addTrack(sound.track);
  let second = -1;
  const ticker = new Worker(new URL('./tick.js', import.meta.url));
  ticker.onmessage = () => {
    const now = new Date();
    draw(pen, title, now);
    if (now.getSeconds() === second) return;
    second = now.getSeconds();
    sound.beep();
  };
  return {
    stream,
    canvas,
    stop() {
      ticker.terminate();
      sound.stop();
      for (const track of stream.getTracks()) track.stop();
    },
  };
}

function createSound() {
  const context = new AudioContext();
  const out = context.createMediaStreamDestination();
  const volume = new GainNode(context, { gain: HUM });
  const tone = new OscillatorNode(context, { frequency: 440 });
  tone.connect(volume).connect(out);
  tone.start();
  void context.resume();
  return {
    track: out.stream.getAudioTracks()[0],
    beep() {
      volume.gain.setValueAtTime(LOUD, context.currentTime);
      volume.gain.setValueAtTime(HUM, context.currentTime + BEEP);
    },
    stop() {
      void context.close();
    },
  };
}

/** @param {CanvasRenderingContext2D} pen @param {string} title @param {Date} now */
function draw(pen, title, now) {
  BARS.forEach((colour, i) => {
    pen.fillStyle = colour;
    pen.fillRect(Math.floor((i * WIDTH) / BARS.length), 0, Math.ceil(WIDTH / BARS.length), HEIGHT);
  });
  const part = now.getMilliseconds() / 1000;
  pen.fillStyle = '#14161b';
  pen.fillRect(0, HEIGHT - 100, WIDTH, 100);
  clockHand(pen, (now.getSeconds() + part) / 60, part);
  pen.fillStyle = '#fff';
  pen.textAlign = 'left';
  pen.font = '600 26px system-ui, sans-serif';
  pen.fillText(title, 24, HEIGHT - 58, WIDTH - 48);
  pen.font = '26px ui-monospace, monospace';
  pen.fillText(`${now.toTimeString().slice(0, 8)}.${Math.floor(part * 10)}`, 24, HEIGHT - 22);
  pen.fillStyle = part < BEEP ? '#fff' : '#3c404d';
  pen.fillRect(WIDTH - 64, HEIGHT - 50, 36, 36);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} minute the part of the minute that has passed
 * @param {number} second the part of the second that has passed
 */
function clockHand(pen, minute, second) {
  const [x, y, r] = [WIDTH / 2, (HEIGHT - 100) / 2, 96];
  pen.beginPath();
  pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fillStyle = '#14161b';
  pen.fill();
  for (const [turn, length, width, colour] of /** @type {[number, number, number, string][]} */ ([
    [minute, 60, 8, '#8fa6ee'],
    [second, 86, 5, '#fff'],
  ])) {
    const angle = (turn - 0.25) * 2 * Math.PI;
    pen.beginPath();
    pen.moveTo(x, y);
    pen.lineTo(x + length * Math.cos(angle), y + length * Math.sin(angle));
    Object.assign(pen, { strokeStyle: colour, lineWidth: width, lineCap: 'round' });
    pen.stroke();
  }
}
