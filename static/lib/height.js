/** How large a picture is shown: no larger simulcast layer is needed. */

const SETTLED = 300;

/**
 * Tells the lines that a picture has on the screen, now and whenever that has changed for good; 1
 * where it is not seen.
 * @param {HTMLElement} picture
 * @param {(lines: number) => void} tell
 * @returns {() => void} ends it
 */
export function followHeight(picture, tell) {
  let told = 0;
  let timer = 0;
  const observer = new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(
      () => {
        const lines = Math.max(1, Math.ceil(picture.clientHeight * devicePixelRatio));
        if (lines !== told) tell((told = lines));
      },
      told === 0 ? 0 : SETTLED,
    );
  });
  observer.observe(picture);
  return () => {
    observer.disconnect();
    clearTimeout(timer);
  };
}
