// Pictures that the server draws, as images: whatever is in them, they can run nothing.

import { blobUrl } from "./api.js";
import { h } from "./dom.js";

/** Widths that are asked for, as the API takes them; so far apart, so that a drag of a window does not ask for each. */
const [LEAST, MOST, APART] = [280, 1600, 20];
/** Free below a picture that ends where the screen does. */
const MARGIN = 24;
const SETTLE_MS = 150;

/** The image of `path` (SVG), asked for once `first` is there; its address is given back with the page, or where it is taken off it. It is drawn for the
 * width of its place, and anew for another one: its words are as large as others on any screen, on the wall `zoom` times.
 * `fits`: it ends where the screen does, if half of that is left. Where it is renewed, by one of the same `key`, the old one is seen until the new one
 * is there. */
export function drawn(path, alt, signal, { first = null, key = path, zoom = 1, fits = false } = {}) {
  const image = h("img", { class: "drawn", alt, hidden: true });
  const waiting = h("p", { class: "dim" }, "Loading …");
  const element = h("div", { class: "picture", "data-key": key }, waiting, image);
  element.source = { path, first };
  element.release = release;
  let asked = null;
  let due = null;

  function address() {
    const scale = zoom * parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
    const { path } = element.source;
    const width = Math.min(Math.max(Math.floor(element.clientWidth / scale / APART) * APART, LEAST), MOST);
    const left = innerHeight - element.getBoundingClientRect().top - scrollY - MARGIN;
    const height = fits && left > innerHeight / 2 ? `&height=${Math.floor(left * width / element.clientWidth)}` : "";
    return `${path}${path.includes("?") ? "&" : "?"}width=${width}${height}`;
  }

  async function take() {
    const own = {};
    asked = own;
    try {
      await element.source.first;
      own.address = address();
      const url = await blobUrl(own.address, "image/svg+xml", signal);
      if (asked !== own || signal.aborted) {
        URL.revokeObjectURL(url);
        return;
      }
      URL.revokeObjectURL(image.src);
      image.src = url;
      image.hidden = false;
      waiting.remove();
    } catch (error) {
      if (asked === own) waiting.textContent = error.message;
    }
  }

  /** A wall shows pictures for weeks: nothing of one that is gone is kept. */
  function release() {
    observer.disconnect();
    clearTimeout(due);
    asked = null;
    URL.revokeObjectURL(image.src);
    signal.removeEventListener("abort", release);
  }

  const observer = new ResizeObserver(() => {
    if (!element.isConnected) release();
    else if (!element.clientWidth) return;
    else if (!asked) take();
    else if (asked.address && asked.address !== address()) {
      clearTimeout(due);
      due = setTimeout(take, SETTLE_MS);
    }
  });
  observer.observe(element);
  element.renewed = (fresh) => {
    fresh.release();
    element.source = fresh.source;
    take();
  };
  signal.addEventListener("abort", release);
  return element;
}
