/**
 * Shows what is wrong with a browser source, for a person who opens OBS's "Interact" and moves the
 * mouse over the source. Otherwise viewers do not see the hint, since it appears only with a mouse,
 * a keyboard or the focus.
 */
import { byId } from '../lib/dom.js';
import { t, useLanguage } from '../lib/strings.js';

const SHOWN_FOR = 5_000;

/** @param {() => string} why returns the key of a sentence; '' while there is no problem */
export function createHint(why) {
  let timer = 0;
  let loaded = false;

  async function show() {
    clearTimeout(timer);
    timer = window.setTimeout(hide, SHOWN_FOR);
    if (!loaded) await useLanguage(navigator.languages ?? [navigator.language]);
    loaded = true;
    const key = why();
    const hint = byId('hint');
    hint.hidden = key === '';
    hint.textContent = key && t(key);
  }

  function hide() {
    byId('hint').hidden = true;
  }

  for (const event of ['mousemove', 'mousedown', 'keydown', 'focus'])
    addEventListener(event, () => void show());
  addEventListener('blur', hide);
  document.documentElement.addEventListener('mouseleave', hide);
}
