/**
 * Copies the content of a field. In OBS's docks the clipboard API fails, because they cannot ask
 * for permission, so execCommand is tried next. If that fails, the text is selected, and the person
 * can copy it with Ctrl+C.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string} [text] the text to copy, when the field shows it masked
 * @returns {Promise<'copied' | 'selected'>}
 */
export async function copy(field, text = field.value) {
  try {
    // navigator.clipboard is undefined on insecure pages, which the catch also handles.
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
