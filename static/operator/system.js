/** The console's system page: the checks, the settings in effect, and the branding. */
import { api } from '../lib/api.js';
import { brand, use } from '../lib/brand.js';
import { h } from '../lib/dom.js';
import { button, field, form } from '../lib/page.js';
import { has, recognized, t, time } from '../lib/strings.js';

/** @typedef {import('./operator.js').Console} Console */
/** @typedef {import('../types').V1System} System */
/** @typedef {import('../types').V1Branding} Branding */
/** @typedef {import('../types').V1Diagnosis} Diagnosis */

/** The name of a check of the server, in the language of the page. @param {string} name */
const checkName = (name) => (has(`op.check.${name}`) ? t(`op.check.${name}`) : name);

/**
 * The source of a setting in the language of the page. A variable or a file is shown by its name.
 * @param {string} from
 */
function sourceName(from) {
  const line = /^(.*), line (\d+)$/.exec(from);
  if (line) return t('op.from.line', { file: line[1], line: line[2] });
  return has(`op.from.${from}`) ? t(`op.from.${from}`) : from;
}

class SystemPage {
  /** @type {System | null} */
  system = null;
  /** @type {Branding | null} */
  branding = null;
  /** The results of the checks; null before the checks have run. @type {Diagnosis[] | null} */
  found = null;
  checking = false;
  /** The logo that was chosen, in base64; '' removes it. @type {string | undefined} */
  logo = undefined;

  /** @param {Console} console */
  constructor(console) {
    this.console = console;
  }

  async load() {
    try {
      [this.system, this.branding] = await Promise.all([
        api('GET', 'api/v1/system'),
        api('GET', 'api/v1/branding'),
      ]);
      this.logo = undefined;
      this.console.draw();
    } catch (err) {
      this.console.failed(err, 'system');
    }
  }

  view() {
    const { errorAt } = this.console;
    const { system } = this;
    return h(
      'div',
      { className: 'columns', key: 'system' },
      h(
        'section',
        { className: 'card', key: 'health' },
        h('h1', null, t('op.tab.system')),
        errorAt('system'),
        !system
          ? h('p', { className: 'hint', key: 'loading' }, t('app.loading'))
          : this.health(system),
      ),
      this.doctorCard(),
      this.branding && this.brandCard(this.branding),
      system && settingsCard(system),
    );
  }

  /** @param {System} system */
  health(system) {
    /** @param {string} name @param {import('../lib/dom.js').Child} value */
    const fact = (name, value) => [
      h('dt', { key: name }, t(name)),
      h('dd', { key: `${name}=` }, value),
    ];
    return h(
      'dl',
      { className: 'facts', key: 'facts' },
      ...fact('op.version', system.version),
      ...fact('op.started', time(system.startedAt)),
      ...fact('op.publicUrl', system.publicUrl),
      ...fact('op.database', system.database),
      ...fact(
        'op.health',
        h(
          'span',
          null,
          ...system.checks.map((c) =>
            h(
              'span',
              { key: c.name, className: c.ok ? 'tag good' : 'tag bad' },
              `${checkName(c.name)}: ${t(c.ok ? 'op.ok' : 'op.failing')}`,
            ),
          ),
        ),
      ),
    );
  }

  doctorCard() {
    const tag = /** @type {Record<string, string>} */ ({
      ok: 'tag good',
      warning: 'tag',
      error: 'tag bad',
    });
    return h(
      'section',
      { className: 'card', key: 'doctor', 'aria-busy': String(this.checking) },
      h('h2', null, t('op.doctor')),
      h('p', { className: 'hint' }, t('op.doctorLead')),
      this.console.errorAt('doctor'),
      this.found &&
        h(
          'ul',
          { className: 'lines', key: 'found' },
          ...this.found.map((f) =>
            h(
              'li',
              { key: f.check },
              h('span', { className: tag[f.level] }, t(`op.level.${f.level}`)),
              ' ',
              h('b', null, checkName(f.check)),
              ' ',
              recognized('doctor', f.detail),
              f.advice
                ? h('p', { className: 'hint', key: 'advice' }, recognized('doctor', f.advice))
                : null,
            ),
          ),
        ),
      button(t('op.doctorRun'), () => void this.examine(), {
        'aria-disabled': this.checking,
        'aria-busy': this.checking,
        key: 'run',
      }),
    );
  }

  async examine() {
    if (this.checking) return;
    this.checking = true;
    this.console.draw();
    try {
      this.found = (await api('GET', 'api/v1/doctor', undefined, { timeout: 120_000 })).checks;
    } catch (err) {
      this.console.failed(err, 'doctor');
    }
    this.checking = false;
    this.console.draw();
  }

  /** @param {Branding} b */
  brandCard(b) {
    const { errorAt, state } = this.console;
    return h(
      'section',
      { className: 'card', key: 'brand' },
      h('h2', null, t('op.brand')),
      h('p', { className: 'hint' }, t('op.brandLead')),
      errorAt('brand'),
      form(
        {
          key: `brand-${state.sent}`,
          submit: t('app.save'),
          busy: state.busy,
          onsubmit: (d) => void this.save(d),
        },
        brandFields(b),
        this.logoFields(this.logo ?? b.logo ?? ''),
      ),
    );
  }

  /** @param {string} shown the logo that the form shows, in base64 */
  logoFields(shown) {
    return h(
      'div',
      { className: 'row wrap', key: 'logo' },
      h(
        'div',
        { className: 'field', key: 'file' },
        h('label', { for: 'logo-file' }, t('op.brandLogo')),
        h('input', {
          id: 'logo-file',
          type: 'file',
          accept: 'image/png,image/jpeg',
          onchange: (/** @type {Event} */ e) =>
            void this.chosen(/** @type {HTMLInputElement} */ (e.target)),
        }),
      ),
      shown &&
        h('img', {
          key: 'shown',
          className: 'preview',
          src: `data:${shown.startsWith('/9j/') ? 'image/jpeg' : 'image/png'};base64,${shown}`,
          alt: t('op.brandLogo'),
        }),
      shown &&
        button(
          t('op.brandNoLogo'),
          () => {
            this.logo = '';
            this.console.draw();
          },
          { className: 'small', key: 'none' },
        ),
    );
  }

  /** @param {HTMLInputElement} input */
  async chosen(input) {
    const file = input.files?.[0];
    if (!file) return;
    const bytes = new Uint8Array(await file.arrayBuffer());
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    this.logo = btoa(text);
    this.console.draw();
  }

  /** @param {Record<string, string>} d */
  async save(d) {
    const logo = this.logo;
    const saved = await this.console.act(
      'PUT',
      'api/v1/branding',
      {
        name: d.brandName,
        accent: d.accent.toLowerCase(),
        support: d.support,
        imprint: d.imprint,
        ...(logo === undefined ? {} : { logo }),
      },
      { where: 'brand', done: t('op.done.branding') },
    );
    if (!saved) return;
    use(await api('GET', 'api/branding'));
    this.console.draw();
  }
}

/** @param {Console} console @returns {import('./operator.js').Page} */
export const createSystem = (console) => new SystemPage(console);

/** The settings in effect, and where each comes from. @param {System} system */
const settingsCard = (system) =>
  h(
    'section',
    { className: 'card', key: 'settings' },
    h('h2', null, t('op.settings')),
    h('p', { className: 'hint' }, t('op.settingsLead')),
    h(
      'table',
      { className: 'settings' },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          ...['name', 'value', 'from'].map((c) => h('th', { scope: 'col' }, t(`op.setting.${c}`))),
        ),
      ),
      h(
        'tbody',
        null,
        ...system.settings.map((s) =>
          h(
            'tr',
            { key: s.name, className: s.from === 'default' ? 'default' : '' },
            h('th', { scope: 'row' }, `--${s.name}`),
            h('td', null, s.value || '–'),
            h('td', null, sourceName(s.from)),
          ),
        ),
      ),
    ),
  );

/** @param {Branding} b */
const brandFields = (b) =>
  h(
    'div',
    { className: 'fields' },
    field(t('op.brandName'), {
      name: 'brandName',
      defaultValue: b.name,
      maxLength: 40,
      placeholder: brand().name ?? t('app'),
    }),
    field(
      t('op.brandAccent'),
      {
        name: 'accent',
        defaultValue: b.accent,
        maxLength: 7,
        placeholder: '#284cb8',
        pattern: '#[0-9a-fA-F]{6}',
      },
      t('op.brandAccentHint'),
    ),
    field(t('op.brandSupport'), {
      name: 'support',
      defaultValue: b.support,
      maxLength: 300,
      placeholder: 'help@example.com',
    }),
    field(t('op.brandImprint'), {
      name: 'imprint',
      defaultValue: b.imprint,
      maxLength: 300,
      type: 'url',
      placeholder: 'https://',
    }),
  );
