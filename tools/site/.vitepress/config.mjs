// Builds the site of the documents from the Markdown files of docs/ and of the root.
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
const source = 'https://github.com/stagedoor/stagedoor';
// The path of the site on its server: / or a folder, which begins and ends with a slash.
const base = process.env.SITE_BASE ?? '/';
const ofTheRoot = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'];

/** The anchor that GitHub gives a heading, so that a link works both on GitHub and on the site. */
const anchor = (/** @type {string} */ heading) =>
  heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');

const isPage = (/** @type {string} */ file) =>
  ofTheRoot.includes(file) || (file.startsWith('docs/') && file.endsWith('.md'));

/**
 * The address on the site for a link in a document. A link to a folder leads to its README.md. A
 * link to a file that is not a page leads to the repository. A link to a missing file is not
 * changed, and VitePress reports it.
 * @param {string} from
 * @param {string} link
 */
function onTheSite(from, link) {
  if (/^([a-z]+:|#)/.test(link)) return link;
  const [path, ...rest] = link.split('#');
  let file = relative(root, resolve(dirname(from), path));
  if (!existsSync(join(root, file))) return link;
  const folder = statSync(join(root, file)).isDirectory();
  if (folder && existsSync(join(root, file, 'README.md'))) file = join(file, 'README.md');
  if (isPage(file)) return ['/' + address(file), ...rest].join('#');
  return `${source}/${folder ? 'tree' : 'blob'}/main/${file}`;
}

/** @param {any} md a MarkdownIt */
function links(md) {
  md.core.ruler.push('stagedoor-links', (/** @type {any} */ state) => {
    for (const block of state.tokens) {
      for (const token of block.children ?? []) {
        if (token.type !== 'link_open') continue;
        token.attrSet(
          'href',
          onTheSite(state.env.realPath ?? state.env.path, token.attrGet('href')),
        );
      }
    }
  });
}

/** The title of a document is its first heading. */
const title = (/** @type {string} */ file) =>
  readFileSync(join(root, file), 'utf8').match(/^# +(.+)$/m)?.[1] ?? file;

/** @param {string} file */
const item = (file) => ({ text: title(file).replaceAll('`', ''), link: '/' + address(file) });

/** The address of a page on the site, without .md or .html. */
const address = (/** @type {string} */ file) =>
  file
    .replace(/^docs\//, '')
    .replace(/(^|\/)README\.md$/, '$1')
    .replace(/\.md$/, '');

const decisions = readdirSync(join(root, 'docs/decisions'))
  .filter((name) => /^\d/.test(name))
  .sort();

/** The pages, grouped by readers. The last group also gets the pages that are in no group. */
const groups = [
  ['Start here', ['README.md', 'docs/guides/first-hour.md', 'docs/guides/https-on-a-server.md']],
  ['For broadcasters', ['docs/obs.md', 'docs/stage.md', 'docs/guests.md']],
  [
    'For operators',
    [
      'docs/operate.md',
      'docs/sign-in.md',
      'docs/guides/proxies.md',
      'docs/guides/upgrade.md',
      'docs/scale.md',
      'docs/guides/security.md',
      'docs/guides/troubleshooting.md',
    ],
  ],
  ['Amazon IVS', ['docs/ivs.md', 'docs/lambda.md']],
  [
    'For developers',
    [
      'docs/http.md',
      'docs/whip-check.md',
      'docs/develop.md',
      'docs/release.md',
      'docs/glossary.md',
    ],
  ],
  ['The project', ['CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']],
];

function sidebar() {
  const listed = new Set(groups.flatMap(([, files]) => files));
  const others = ['docs', 'docs/guides']
    .flatMap((folder) => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`))
    .filter((file) => file.endsWith('.md') && !listed.has(file));
  return [
    ...groups.map(([text, files], i) => ({
      text,
      items: [.../** @type {string[]} */ (files), ...(i === groups.length - 1 ? others : [])]
        .filter((file) => existsSync(join(root, file)))
        .map(item),
    })),
    {
      text: 'Decisions',
      collapsed: true,
      items: decisions.map((name) => item(`docs/decisions/${name}`)),
    },
  ];
}

export default {
  title: 'Stagedoor',
  description: 'Real-time stages for broadcasters with OBS',
  lang: 'en',
  srcDir: root,
  srcExclude: [
    '.cache/**',
    '.git/**',
    'node_modules/**',
    'bin/**',
    'dist/**',
    'site/**',
    'screenshots/**',
    'client/**',
    'cmd/**',
    'deploy/**',
    'internal/**',
    'static/**',
    'tools/**',
  ],
  outDir: join(root, 'site'),
  cacheDir: join(root, '.cache/site'),
  rewrites: (/** @type {string} */ file) =>
    file.replace(/^docs\//, '').replace(/(^|\/)README\.md$/, '$1index.md'),
  base,
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${base}icon.svg` }]],
  // Addresses that are examples in the documents are not pages of the site.
  ignoreDeadLinks: [/^https?:\/\/(localhost|127\.)/],
  markdown: {
    anchor: { slugify: anchor },
    toc: { slugify: anchor },
    headers: { slugify: anchor },
    config: links,
  },
  buildEnd: ({ outDir }) => copyFileSync(join(root, 'static/icon.svg'), join(outDir, 'icon.svg')),
  themeConfig: {
    sidebar: sidebar(),
    outline: [2, 3],
    search: { provider: 'local' },
    nav: [
      { text: 'First hour', link: '/guides/first-hour' },
      { text: 'Troubleshooting', link: '/guides/troubleshooting' },
      { text: 'Settings', link: '/operate#settings' },
      { text: 'HTTP API', link: '/http' },
    ].filter(({ link }) => existsSync(join(root, 'docs' + link.split('#')[0] + '.md'))),
  },
};
