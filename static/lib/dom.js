/**
 * Creates the elements of the pages, and changes them. It never parses text as HTML.
 *
 * A page is drawn as a whole from its state. `show` changes only what differs, so that a redraw
 * keeps the focus, typed text, playing video and the position of a screen reader.
 */

/** @typedef {Node | string | number | false | null | undefined} Child */
/** @typedef {Record<string, any>} Props */

/**
 * The properties that h() was called with, for show() to compare.
 * @type {WeakMap<Element, Props>}
 */
const given = new WeakMap();

/**
 * Makes an element. Properties that begin with "on" are event handlers; role, for, list and names
 * with a dash are attributes; the others are properties. `key` identifies an element among its
 * siblings; with `keep`, the children of the element are not changed.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Props | null} [props]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  given.set(element, props ?? {});
  for (const [name, value] of Object.entries(props ?? {})) assign(element, name, value);
  element.append(...nodes(children));
  return element;
}

/**
 * Makes `children` the children of parent, and changes only what differs.
 * @param {Element} parent
 * @param {...(Child | Child[])} children
 */
export function show(parent, ...children) {
  const wanted = nodes(children);
  const keys = new Set(wanted.map(keyOf));
  /** @type {Map<any, ChildNode>} */
  const keyed = new Map();
  for (const old of parent.childNodes) if (keyOf(old) !== undefined) keyed.set(keyOf(old), old);
  let here = parent.firstChild;
  for (const node of wanted) {
    // Elements whose key no longer exists are removed first. Otherwise the elements after them
    // would be replaced.
    while (here && keyOf(here) !== undefined && !keys.has(keyOf(here))) here = dropped(here);
    const old = keyOf(node) === undefined ? here : keyed.get(keyOf(node));
    if (!old || !alike(old, node)) {
      parent.insertBefore(node, here);
      continue;
    }
    // Elements in between are removed, so that the old element need not move. A field that moves
    // loses the focus.
    while (here && here !== old && (keyOf(here) === undefined || !keys.has(keyOf(here))))
      here = dropped(here);
    if (old === here) here = old.nextSibling;
    else parent.insertBefore(old, here);
    update(old, node);
  }
  while (here) here = dropped(here);
}

/** @param {ChildNode} node @returns {ChildNode | null} the node after it */
function dropped(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

/** @param {(Child | Child[])[]} children @returns {ChildNode[]} */
function nodes(children) {
  const list = [];
  for (const child of children.flat()) {
    if (child === false || child === null || child === undefined || child === '') continue;
    list.push(
      child instanceof Node
        ? /** @type {ChildNode} */ (child)
        : document.createTextNode(String(child)),
    );
  }
  return list;
}

/** @param {Node} node */
const keyOf = (node) => (node instanceof Element ? given.get(node)?.key : undefined);

/** @param {Node} a @param {Node} b */
const alike = (a, b) => a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

/** @param {Node} old @param {Node} wanted */
function update(old, wanted) {
  if (old === wanted) return; // the caller passed the element that is in the page
  if (!(old instanceof Element) || !(wanted instanceof Element)) {
    if (old.nodeValue !== wanted.nodeValue) old.nodeValue = wanted.nodeValue;
    return;
  }
  const before = given.get(old) ?? {};
  const after = given.get(wanted) ?? {};
  for (const name of Object.keys(before)) if (!(name in after)) assign(old, name, undefined);
  for (const [name, value] of Object.entries(after))
    if (before[name] !== value) assign(old, name, value);
  given.set(old, after);
  if (!after.keep) show(old, ...wanted.childNodes);
}

/** @param {Element} element @param {string} name @param {any} value */
function assign(element, name, value) {
  if (name === 'key' || name === 'keep') return;
  if (name.includes('-') || name === 'role' || name === 'for' || name === 'list') {
    if (value === undefined || value === false || value === null) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  } else {
    Reflect.set(
      element,
      name,
      value ??
        (name.startsWith('on')
          ? null
          : typeof Reflect.get(element, name) === 'boolean'
            ? false
            : ''),
    );
  }
}

/**
 * The element with that ID, which must be in the page.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}
