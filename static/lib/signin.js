/** Signing in: name and password, a passkey, a provider, a code, a dock link. */
import { api, ApiError } from './api.js';
import { h } from './dom.js';
import { late } from './late.js';
import { KEYS } from './memory.js';
import { button, DOCKS, errorLine, errorText, header, page, prepare, whoAmI } from './page.js';
import { signInView, waysView } from './signin-views.js';
import { has, t } from './strings.js';

/** @typedef {import('./dom.js').Child} Child */
/** @typedef {import('./types.js').Me} Me */
/** @typedef {import('../types').SignInWays} SignInWays */
/** @typedef {import('../types').DeviceCode} Code */

/**
 * Removes a value from the fragment of the address, so that neither the history nor a screenshot
 * contains it. Returns the value.
 * @param {string} name
 * @returns {string}
 */
export function takeFragment(name) {
  const url = new URL(location.href);
  const values = new URLSearchParams(url.hash.slice(1));
  const value = values.get(name) ?? '';
  if (value) {
    values.delete(name);
    url.hash = [...values].length > 0 ? values.toString() : '';
    history.replaceState(null, '', url);
  }
  return value;
}

let enrolment = '';

/**
 * Signs in with the code of a dock link, if the address has one. Stores a used code, because the
 * script in OBS hands it over at each start, and the server logs a warning for each refused code.
 * @param {Storage} [memory]
 * @returns {Promise<Me | null>}
 */
export async function enrol(memory) {
  enrolment ||= takeFragment('enrol');
  const code = enrolment;
  if (!code) return null;
  if (memory?.getItem(KEYS.code) === code) throw new ApiError('', { code: 'bad_code' });
  try {
    const me = await api('POST', 'api/enrol', { code });
    enrolment = '';
    memory?.setItem(KEYS.code, code);
    return me;
  } catch (err) {
    if (err instanceof ApiError && !err.temporary) {
      enrolment = '';
      if (err.code === 'bad_code') memory?.setItem(KEYS.code, code);
    }
    throw err;
  }
}

/** @param {string} code the code of the refusal by the provider or the server */
const failure = (code) => t(has(`ways.failed.${code}`) ? `ways.failed.${code}` : 'ways.failed');

/** Docks do not need passkeys. @type {() => Promise<typeof import('./passkeys.js')>} */
const loadPasskeys = late(new URL('./passkeys.js', import.meta.url));

/**
 * The ways to sign in apart from name and password. `here` is the page that offers them. `arrived`
 * is called after a sign-in.
 */
class Ways {
  /** @type {SignInWays} */
  offered = { passwords: true, codes: false };
  /** The code that waits for approval. @type {Code | null} */
  code = null;
  busy = false;
  /** @type {string | undefined} */
  error = undefined;
  timer = 0;

  /** @param {{here: string, draw: () => void, arrived: (me: Me) => void}} about */
  constructor({ here, draw, arrived }) {
    this.inDock = DOCKS.includes(here);
    this.approvesCodes = here === 'device';
    this.draw = draw;
    this.arrived = arrived;
  }

  async load() {
    const failed = takeFragment('sign-in');
    if (failed) this.error = failure(failed);
    try {
      const offered = await api('GET', 'api/sign-in');
      // A person who is about to approve a code is not offered another code.
      this.offered = { ...offered, codes: offered.codes && !this.approvesCodes };
    } catch {
      // the sign-in with name and password is still offered
    }
    this.draw();
  }

  /** While a code waits, the form for name and password is hidden. */
  passwords() {
    return this.offered.passwords && !this.code;
  }

  /** The part of the sign-in view above the form for name and password. @returns {Child} */
  view() {
    return waysView(this, {
      begin: () => void this.begin(),
      passkey: () => void this.byPasskey(),
      again: () => {
        this.stop();
        void this.begin();
      },
      cancel: () => {
        this.stop();
        this.draw();
      },
    });
  }

  /** @param {() => Promise<void>} work */
  async busily(work) {
    if (this.busy) return;
    Object.assign(this, { busy: true, error: undefined });
    this.draw();
    try {
      await work();
    } catch (err) {
      this.error = errorText(err);
    }
    this.busy = false;
    this.draw();
  }

  /** Shows a code, and waits until it is approved. */
  begin() {
    return this.busily(async () => {
      this.code = await api('POST', 'api/device');
      this.later(/** @type {Code} */ (this.code));
    });
  }

  async byPasskey() {
    /** @type {Me | undefined} */
    let me;
    await this.busily(async () => {
      const { signInWithPasskey } = await loadPasskeys();
      me = await signInWithPasskey();
    });
    if (me) this.arrived(me);
  }

  /** @param {Code} code */
  later(code) {
    this.timer = setTimeout(() => void this.poll(code), code.interval * 1000);
  }

  /** Polls until the code is approved or refused. @param {Code} code */
  async poll(code) {
    if (code !== this.code) return;
    try {
      const me = await api('POST', 'api/device/token', { deviceCode: code.deviceCode });
      this.stop();
      this.arrived(me);
    } catch (err) {
      const goesOn =
        !(err instanceof ApiError) || err.code === 'authorization_pending' || err.temporary;
      if (goesOn) return this.later(code);
      Object.assign(this, { code: null, error: errorText(err) });
      this.draw();
    }
  }

  stop() {
    clearTimeout(this.timer);
    Object.assign(this, { code: null, error: undefined });
  }
}

/** @param {ConstructorParameters<typeof Ways>[0]} about */
export const createWays = (about) => new Ways(about);

/**
 * Shows the sign-in form if there is no login, and then calls the function `ready`.
 * @param {(me: Me) => void} ready @param {string} here
 */
export async function signedIn(ready, here) {
  await prepare();
  /** @type {{error?: string, busy: boolean}} */
  const form = { busy: false };
  const draw = () => page(header(null, here), signInView({ ...form, ways, onsubmit }));
  const ways = createWays({ here, draw, arrived: ready });
  /** @param {string} name @param {string} password */
  const onsubmit = async (name, password) => {
    Object.assign(form, { busy: true, error: undefined });
    draw();
    try {
      const me = await api('POST', 'api/login', { name, password });
      return ready(me);
    } catch (err) {
      Object.assign(form, { busy: false, error: errorText(err) });
      draw();
    }
  };
  try {
    const me = await whoAmI();
    if (me) return ready(me);
    draw();
    await ways.load();
  } catch (err) {
    page(header(null, here), failedView(errorText(err)));
  }
}

/** @param {string} why */
const failedView = (why) =>
  h(
    'main',
    { className: 'card' },
    errorLine(why),
    button(t('app.again'), () => location.reload()),
  );
