/**
 * A browser source: joins the stage with the viewing key in the fragment of the address, and shows
 * the participants in the view of the key. It waits for them without a time limit, and is
 * transparent until they publish.
 */
import { base, problem } from '../lib/api.js';
import { byId, h } from '../lib/dom.js';
import { followHeight } from '../lib/height.js';
import { createClient } from '../lib/stage/client.js';
import { meter } from '../lib/stage/level.js';
import { lookOf } from '../lib/stage/look.js';
import { createHint } from './hint.js';
import { cast, columns, createSpotlight, kindOf } from './layout.js';

const LOOK_EVERY = 200;

const key = location.hash.slice(1);
const stage = byId('stage');
const spotlight = createSpotlight();
const look = lookOf(location.search);
/**
 * @type {Map<string, {frame: HTMLElement, video: HTMLVideoElement, unfollow: () => void, sound:
 *   {level: () => number, stop: () => void}}>}
 */
const shown = new Map();
/** @type {import('../lib/stage/client.js').Participant[]} */
let present = [];
let view = '';
let phase = 'idle';

async function token() {
  const response = await fetch(new URL('api/views/token', base), {
    method: 'POST',
    headers: { Authorization: `Bearer ${key}` },
    credentials: 'omit',
  });
  if (!response.ok) throw await problem(response);
  const admission = await response.json();
  view = admission.view;
  document.documentElement.dataset.view = kindOf(view);
  return admission;
}

const client = createClient({
  token,
  wants: (p) => cast(view, present).some((q) => q.id === p.id),
  on: {
    participants(list) {
      present = list;
      arrange();
      client.refresh();
    },
    stream: play,
    removed: remove,
    state(now) {
      document.documentElement.dataset.phase = phase = now;
      // The key was revoked.
      if (phase === 'refused') for (const id of [...shown.keys()]) remove(id);
    },
  },
});

/** @param {string} id @param {MediaStream} stream */
function play(id, stream) {
  const known = shown.get(id) ?? { ...picture(id), sound: { level: () => 0, stop() {} } };
  shown.set(id, known);
  known.sound.stop();
  known.sound = kindOf(view) === 'spotlight' ? meter(stream) : { level: () => 0, stop() {} };
  if (known.video.srcObject !== stream) known.video.srcObject = stream;
  // OBS lets a page play sound without a click. A browser tab, in which a person may try the
  // address, does not. There the picture plays muted.
  known.video
    .play()
    .catch((err) => {
      if (err.name !== 'NotAllowedError') return;
      known.video.muted = true;
      return known.video.play();
    })
    .catch(() => {});
  arrange();
}

/** @param {string} id */
function picture(id) {
  const video = h('video', { playsInline: true });
  video.dataset.participant = id;
  // Hide the video until its first frame, because it would be a black box.
  video.hidden = true;
  video.onloadeddata = video.onresize = arrange;
  const frame = h(
    'figure',
    { hidden: true },
    video,
    look.names && h('figcaption', { dir: 'auto' }),
  );
  stage.append(frame);
  // In a spotlight every picture is received at full size, so that the next speaker is sharp at
  // once.
  const unfollow = followHeight(video, (lines) =>
    client.fit(
      id,
      kindOf(view) === 'spotlight' ? Math.ceil(innerHeight * devicePixelRatio) : lines,
    ),
  );
  return { frame, video, unfollow };
}

/** @param {string} id */
function remove(id) {
  const known = shown.get(id);
  shown.delete(id);
  known?.sound.stop();
  known?.unfollow();
  known?.frame.remove();
  client.fit(id, 0);
  arrange();
}

/**
 * Fills the source with the participants who have a picture. A participant whose camera is off is
 * only heard.
 */
function arrange() {
  const seen = cast(view, present)
    .filter((p) => !p.videoMuted && (shown.get(p.id)?.video.videoWidth ?? 0) > 0)
    .map((p) => p.id);
  const chosen = kindOf(view) === 'spotlight' ? seen.filter((id) => id === speaker(seen)) : seen;
  for (const [id, { frame, video }] of shown) {
    frame.hidden = video.hidden = !chosen.includes(id);
    if (look.names)
      frame.lastElementChild?.replaceChildren(present.find((p) => p.id === id)?.name ?? '');
  }
  stage.style.gridTemplateColumns = `repeat(${columns(chosen.length, innerWidth, innerHeight)}, minmax(0, 1fr))`;
  stage.style.gridAutoRows = 'minmax(0, 1fr)';
}

/** @param {string[]} seen */
const speaker = (seen) =>
  spotlight.next(
    new Map(seen.map((id) => [id, shown.get(id)?.sound.level() ?? 0])),
    performance.now(),
  );

addEventListener('resize', arrange);
addEventListener('pagehide', () => client.leave());
addEventListener('pageshow', (e) => {
  if (e.persisted) client.join();
});
addEventListener('hashchange', () => location.reload()); // another key
setInterval(() => {
  if (kindOf(view) === 'spotlight') arrange();
}, LOOK_EVERY);

/** The key of the sentence for the person who opens OBS's "Interact". */
function why() {
  if (!key) return 'source.noKey';
  if (phase === 'refused') return 'source.refused';
  if (phase === 'joined')
    return [...shown.values()].some(({ video }) => !video.hidden) ? '' : 'source.waiting';
  return 'source.lost';
}

if (look.background && CSS.supports('color', look.background))
  document.body.style.backgroundColor = look.background;
createHint(why);
if (key) client.join();
