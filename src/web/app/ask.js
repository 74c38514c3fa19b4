// SPDX-License-Identifier: Apache-2.0

import { element } from './dom.js';
import { sentenceOf } from './rest.js';

const dialog = /** @type {HTMLDialogElement} */ (element('ask'));
const field = /** @type {HTMLElement} */ (element('ask-field'));
const input = /** @type {HTMLInputElement} */ (element('ask-input'));
const yes = /** @type {HTMLButtonElement} */ (element('ask-yes'));

/**
 * One question in a dialog: yes or no, or a line of text. It closes when what was asked for is done; else it says why not.
 * @param {{title: string, text?: string, label?: string, value?: string, yes: string, danger?: boolean}} question
 * @param {(answer: string) => Promise<unknown>} act
 */
export function ask({ title, text = '', label, value = '', yes: word, danger = false }, act) {
  element('ask-title').textContent = title;
  element('ask-text').textContent = text;
  element('ask-text').hidden = !text;
  element('ask-error').textContent = '';
  field.hidden = !label;
  element('ask-label').textContent = label ?? '';
  input.required = Boolean(label);
  input.value = value;
  yes.textContent = word;
  yes.classList.toggle('danger', danger);
  yes.disabled = false;
  element('ask-form').onsubmit = async (event) => {
    event.preventDefault();
    yes.disabled = true;
    try {
      await act(input.value.trim());
      dialog.close();
    } catch (error) {
      element('ask-error').textContent = sentenceOf(error);
      yes.disabled = false;
    }
  };
  dialog.showModal();
  if (label) input.select();
}

element('ask-no').addEventListener('click', () => dialog.close());
