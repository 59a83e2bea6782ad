// Pictures that the server draws, as images: whatever is in them, they can run nothing.

import { blobUrl } from "./api.js";
import { h } from "./dom.js";

/** The image of `path` (SVG); its address is given back with the page. */
export function drawn(path, alt, signal) {
  const image = h("img", { class: "drawn", alt });
  // Words in it have to stay readable on a phone: there it is scrolled.
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": alt }, image);
  blobUrl(path, "image/svg+xml", signal).then((url) => {
    image.src = url;
    signal.addEventListener("abort", () => URL.revokeObjectURL(url));
  }).catch(() => { image.alt = `${alt}: not there yet`; });
  return element;
}
