/** Keeps the keyboard focus when an action replaces the focused element. */

/**
 * Remembers the focused element.
 * @param {string} asked the key of the open question, or ''
 * @returns {() => void} moves the focus to the successor of the element, if the element is no
 *   longer on the page and there is a successor. Without one, the focus is on the heading (see
 *   page).
 */
export function keepFocus(asked) {
  const was = document.activeElement;
  const field = was?.closest('form')?.querySelector('[id]')?.id;
  return () => {
    const now = document.activeElement;
    if (!was || was.isConnected || (now !== document.body && now?.tagName !== 'H1')) return;
    const next =
      byId(was.id) ??
      byId(field)?.closest('form')?.querySelector('button[type="submit"]') ??
      document.querySelector(`[data-asks="${CSS.escape(asked)}"]`);
    /** @type {HTMLElement | null} */ (next)?.focus();
  };
}

/** @param {string} [id] */
const byId = (id) => (id ? document.getElementById(id) : null);
