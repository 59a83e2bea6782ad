// Pictures that the server draws, as images: whatever is in them, they can run nothing.

import { blobUrl } from "./api.js";
import { h } from "./dom.js";

/** The image of `path` (SVG), asked for once `first` is there; its address is given back with the page. */
export function drawn(path, alt, signal, first = null) {
  const image = h("img", { class: "drawn", alt, hidden: true });
  const waiting = h("p", { class: "dim" }, "Loading …");
  // Words in it have to stay readable on a phone: there it is scrolled.
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": alt }, waiting, image);
  Promise.resolve(first).then(() => blobUrl(path, "image/svg+xml", signal)).then((url) => {
    image.src = url;
    image.hidden = false;
    waiting.remove();
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  }).catch((error) => { waiting.textContent = error.message; });
  return element;
}
