/**
 * The tab People of the dock. Its code is loaded when the tab is opened for the first time, and
 * keeps running until the user signs out.
 */
import { h } from '../lib/dom.js';
import { late } from '../lib/late.js';
import { button, errorLine, href } from '../lib/page.js';
import { t } from '../lib/strings.js';

/**
 * @param {Omit<import('../stage/onstage.js').About, 'me' | 'connect'> & {toBroadcast: () => void}}
 *   about
 */
export function createPeopleTab(about) {
  /** @type {import('../stage/onstage.js').People | null} */
  let people = null;
  /**
   * @type {import('../lib/types.js').Me | null} the signed-in user, after the tab was opened for
   *   the first time
   */
  let me = null;
  let loading = false;
  let failed = false;

  async function load() {
    loading = true;
    failed = false;
    about.changed();
    try {
      const [{ People }] = await Promise.all([part(), style('static/stage/stage.css')]);
      if (me) people = new People({ ...about, me });
      if (!me) leave(); // the user signed out meanwhile
    } catch {
      failed = true;
    }
    loading = false;
    people?.enter();
    about.changed();
  }

  function leave() {
    const left = people;
    people = me = null;
    left?.leave();
  }

  return {
    leave,
    /** @param {import('../lib/types.js').Me} who */
    open(who) {
      me = who;
      if (!people && !loading && !failed) void load();
    },
    /** @param {import('../lib/types.js').Me} who */
    know(who) {
      if (me) me = who;
      people?.know(who);
    },
    /** @param {string} arn */
    goTo: (arn) => people?.goTo(arn),
    view() {
      if (people) return people.view();
      return [
        failed ? failedView(load) : h('p', { className: 'hint', key: 'loading' }, t('app.loading')),
      ];
    },
    drawn: () => people?.drawn(),
  };
}

/** @param {() => void} again */
const failedView = (again) =>
  h(
    'div',
    { className: 'card', key: 'failed' },
    errorLine(t('tab.failed')),
    button(t('app.again'), again),
  );

/** @type {() => Promise<typeof import('../stage/onstage.js')>} */
const part = late(new URL('../stage/onstage.js', import.meta.url));

/** @param {string} path @returns {Promise<void>} */
function style(path) {
  return new Promise((resolve, reject) => {
    const link = h('link', { rel: 'stylesheet', href: href(path), onload: () => resolve() });
    link.onerror = () => {
      link.remove();
      reject(new Error(path));
    };
    document.head.append(link);
  });
}
