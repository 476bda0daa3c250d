/**
 * The look of a browser source: options in the query of its address, beside the key in the
 * fragment. Pure.
 */

/**
 * @typedef {{names: boolean, background: string}} Look - background: a colour of CSS, '' for none
 */

/** The colours that the pages offer. An address may contain every CSS colour. */
export const BACKGROUNDS = Object.freeze(['', 'black', 'white', '#00b140']);

/** @param {string} search @returns {Look} */
export function lookOf(search) {
  const query = new URLSearchParams(search);
  return {
    names: query.has('names') && query.get('names') !== '0',
    background: query.get('background') ?? '',
  };
}

/** The address with that look. @param {string} address @param {Look} look */
export function dressed(address, { names, background }) {
  const url = new URL(address);
  url.searchParams.delete('names');
  url.searchParams.delete('background');
  if (names) url.searchParams.set('names', '1');
  if (background) url.searchParams.set('background', background);
  return url.href;
}

/** Parses the stored look, which was chosen last. @param {string | null} text @returns {Look} */
export function readLook(text) {
  try {
    const { names, background } = JSON.parse(text ?? '{}');
    return {
      names: names === true,
      background: BACKGROUNDS.includes(background) ? background : '',
    };
  } catch {
    return { names: false, background: '' };
  }
}
