/** Form fields for choosing one or several values of a list. */
import { h } from './dom.js';

/**
 * @typedef {[value: string, text: string, props?: Record<string, any>]} Option
 *
 * @typedef {Record<string, any> & {chosen?: string, onchoose?: (value: string) => void}} Select
 *   properties of the element, the chosen value, and a function that is called with a new choice
 */

/** A list from which one value is chosen. @param {Select} about @param {Option[]} options */
export const select = ({ chosen, onchoose, ...props }, options) =>
  h(
    'select',
    {
      ...props,
      onchange:
        onchoose &&
        ((/** @type {Event} */ e) => onchoose(/** @type {HTMLSelectElement} */ (e.target).value)),
    },
    ...options.map(([value, text, more]) =>
      h('option', { value, key: value, selected: value === chosen, dir: 'auto', ...more }, text),
    ),
  );

/**
 * `select` with a label.
 * @param {string} label
 * @param {Select & {id: string}} about
 * @param {Option[]} options
 */
export const choice = (label, about, options) =>
  h(
    'div',
    { className: 'field', key: about.id },
    h('label', { for: about.id }, label),
    select(about, options),
  );

/** @param {string} label @param {Record<string, any>} props of the box */
export const checkbox = (label, props) =>
  h(
    'label',
    { className: 'check', key: props.name },
    h('input', { type: 'checkbox', ...props }),
    h('span', null, label),
  );

/**
 * Checkboxes that answer one question.
 * @param {string} question
 * @param {string} key
 * @param {[name: string, label: string, checked: boolean][]} boxes
 */
export const checkboxes = (question, key, boxes) =>
  h(
    'fieldset',
    { className: 'checks', key },
    h('legend', null, question),
    ...boxes.map(([name, label, defaultChecked]) => checkbox(label, { name, defaultChecked })),
  );
