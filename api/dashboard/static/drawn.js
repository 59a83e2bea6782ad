// Pictures that the server draws, as images: whatever is in them, they can run nothing.

import { blobUrl } from "./api.js";
import { h } from "./dom.js";

/** The image of `path` (SVG), asked for once `first` is there; its address is given back with the page. Where it is renewed
 * the old one is seen until the new one is there. */
export function drawn(path, alt, signal, first = null) {
  const image = h("img", { class: "drawn", alt, hidden: true });
  const waiting = h("p", { class: "dim" }, "Loading …");
  // Words in it have to stay readable on a phone: there it is scrolled.
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": alt, "data-key": path }, waiting, image);
  const take = async (asked) => {
    try {
      const url = await asked;
      URL.revokeObjectURL(image.src);
      image.src = url;
      image.hidden = false;
      waiting.remove();
    } catch (error) {
      waiting.textContent = error.message;
    }
  };
  element.asked = Promise.resolve(first).then(() => blobUrl(path, "image/svg+xml", signal));
  element.renewed = (fresh) => take(fresh.asked);
  take(element.asked);
  signal.addEventListener("abort", () => URL.revokeObjectURL(image.src));
  return element;
}
