/**
 * Observes the size of a picture on the page, so that the page requests no larger simulcast layer.
 */

const SETTLED = 300;

/**
 * Reports how many lines a picture has on the screen, now and after each lasting change; 1 while it
 * is not visible.
 * @param {HTMLElement} picture
 * @param {(lines: number) => void} tell
 * @returns {() => void} ends the reports
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
