/**
 * Copies the content of a field. OBS's docks refuse the clipboard API (they cannot ask for the
 * permission), so execCommand is tried next. The last resort is a selection that the person copies
 * by Ctrl+C.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string} [text] the text to copy, when the field shows it masked
 * @returns {Promise<'copied' | 'selected'>}
 */
export async function copy(field, text = field.value) {
  try {
    // navigator.clipboard is undefined on insecure pages; the catch below handles that, too.
    await navigator.clipboard.writeText(text);
    return 'copied';
  } catch {
    return copyByCommand(field, text) ? 'copied' : 'selected';
  }
}

/** @param {HTMLInputElement | HTMLTextAreaElement} field @param {string} text */
function copyByCommand(field, text) {
  const masked = field instanceof HTMLInputElement && field.type === 'password';
  if (masked) field.type = 'text'; // browsers do not copy from password fields
  field.value = text;
  field.focus();
  field.select();
  field.setSelectionRange(0, text.length);
  let done = false;
  try {
    done = document.execCommand('copy');
  } catch {
    done = false;
  }
  if (masked && done) field.type = 'password';
  return done;
}
