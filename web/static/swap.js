// Brings a page up to date by fetching it again: there is one place that knows how things look, the
// server's templates. Nothing here builds HTML from strings.

/** The page at `url`, parsed; scripts in it don't run. */
export async function fetchPage(url = location.href) {
  const response = await fetch(url, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  return new DOMParser().parseFromString(await response.text(), "text/html");
}

/**
 * Changes the page by `change`, and puts the focus back on the element with the same id, or, where
 * that is gone, on the content: never back to the top of the page.
 */
export function keepingFocus(change) {
  const id = document.activeElement?.id;
  change();
  if (!id || document.activeElement?.id === id) return;
  (document.getElementById(id) ?? document.getElementById("main")).focus({ preventScroll: true });
}

/** Makes `task` run soon after each call, never twice at once, and once for calls that come together. */
export function coalesce(task, delayMs) {
  let waiting = null;
  let running = Promise.resolve();
  return () => {
    waiting ??= new Promise((resolve) => setTimeout(resolve, delayMs))
      .then(() => running)
      .then(() => {
        waiting = null;
        running = task().catch(() => {}); // the next change, or a reload, shows what this one missed
        return running;
      });
    return waiting;
  };
}
