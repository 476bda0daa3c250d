/**
 * The two tabs of the dock. They are one page, so that the tab which is not shown keeps running.
 */
import { h } from '../lib/dom.js';
import { t } from '../lib/strings.js';

/** @typedef {'broadcast' | 'people'} Tab */

/** @type {readonly Tab[]} */
const TABS = Object.freeze(['broadcast', 'people']);

/** The tab in the address. It is there so that a reload shows the same tab. @returns {Tab} */
export const tabOfAddress = () => (location.hash === '#people' ? 'people' : 'broadcast');

/** @param {Tab} tab */
export function intoAddress(tab) {
  if (tab !== tabOfAddress())
    history.replaceState(
      null,
      '',
      tab === 'people' ? '#people' : location.pathname + location.search,
    );
}

/**
 * The WAI-ARIA tabs pattern: the list of tabs is one stop of the Tab key, and the arrow keys move
 * between the tabs.
 * @param {Tab} shown
 * @param {(tab: Tab) => void} choose
 */
export function tabsView(shown, choose) {
  const go = (/** @type {Tab} */ tab) => {
    choose(tab);
    focusTab(tab);
  };
  const other = TABS[1 - TABS.indexOf(shown)];
  /** @type {Record<string, Tab>} */
  const keys = { ArrowLeft: other, ArrowRight: other, Home: TABS[0], End: TABS[1] };
  const onkeydown = (/** @type {KeyboardEvent} */ e) => {
    if (!(e.key in keys) || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    go(keys[e.key]);
  };
  return h(
    'div',
    { className: 'tabs', role: 'tablist', 'aria-label': t('tab.label'), key: 'tabs', onkeydown },
    ...TABS.map((tab) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: `tab-${tab}`,
          key: tab,
          'aria-selected': String(tab === shown),
          'aria-controls': `panel-${tab}`,
          tabIndex: tab === shown ? 0 : -1,
          onclick: () => choose(tab),
        },
        t(`tab.${tab}`),
      ),
    ),
  );
}

/** @param {Tab} tab */
export const focusTab = (tab) =>
  document.getElementById(`tab-${tab}`)?.focus({ preventScroll: true });

/**
 * @param {Tab} tab
 * @param {Tab} shown
 * @param {...(import('../lib/dom.js').Child | import('../lib/dom.js').Child[])} children
 */
export const panel = (tab, shown, ...children) =>
  h(
    'div',
    {
      role: 'tabpanel',
      id: `panel-${tab}`,
      key: tab,
      'aria-labelledby': `tab-${tab}`,
      hidden: tab !== shown,
    },
    ...children,
  );
