/** The operator's branding of the pages: name, logo, accent, and two links. */
import { api, base } from './api.js';
import { h } from './dom.js';
import { t } from './strings.js';

/** @typedef {import('../types').Branding} Branding */

/** @type {Branding} */
let current = {};

export const brand = () => current;

/**
 * Loads the branding. Call it before the first drawing, so that colours do not change visibly. If
 * the request fails, the page keeps Stagedoor's colours.
 */
export async function loadBrand() {
  try {
    use(await api('GET', 'api/branding', undefined, { timeout: 3_000 }));
  } catch {
    // the page keeps Stagedoor's look
  }
}

/** @param {Branding} next */
export function use(next) {
  current = next;
  const { style } = document.documentElement;
  for (const [name, value] of Object.entries(accents(next.accent))) style.setProperty(name, value);
  if (next.name) document.title = document.title.replace('Stagedoor', next.name);
  const icon = document.querySelector('link[rel="icon"]');
  if (next.logo && icon instanceof HTMLLinkElement) {
    icon.removeAttribute('type');
    icon.href = new URL(next.logo, base).href;
  }
}

/**
 * The colours that are derived from an accent: the colour under the pointer is darker, so that
 * white text stays readable.
 * @param {string | undefined} accent #rrggbb
 * @returns {Record<string, string>}
 */
export function accents(accent) {
  const parts = /^#(..)(..)(..)$/.exec(accent ?? '');
  if (!parts) return {};
  const darker = parts.slice(1).map((part) =>
    Math.round(parseInt(part, 16) * 0.8)
      .toString(16)
      .padStart(2, '0'),
  );
  return { '--primary': String(accent), '--primary-hover': `#${darker.join('')}` };
}

/** The footer of every page, with the links that the operator has set. */
export function footer() {
  const { support, imprint } = current;
  if (!support && !imprint) return null;
  return h(
    'footer',
    { className: 'row wrap', key: 'footer' },
    support &&
      h(
        'a',
        { href: support, target: '_blank', rel: 'noopener', key: 'support' },
        t('app.support'),
      ),
    imprint &&
      h(
        'a',
        { href: imprint, target: '_blank', rel: 'noopener', key: 'imprint' },
        t('app.imprint'),
      ),
  );
}
