// The whole state of a page in its address, behind the #: it can be shared, and never goes to a server.

/** "#/runs/x?signal=loss" → {page: "runs", id: "x", query}. */
export function parsed(hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [page = "", id = ""] = path.split("/").map(decodeURIComponent);
  return { page: page || "experiments", id, query: new URLSearchParams(search) };
}

export function link(page, id = "", query = {}) {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value)).toString();
  return `#/${page}${id && `/${encodeURIComponent(id)}`}${search && `?${search}`}`;
}

/** Put values into the address; null or "" takes one out. */
export function change(values) {
  const { page, id, query } = parsed(location.hash);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const hash = link(page, id, Object.fromEntries(query));
  if (hash === location.hash) return;
  history.replaceState(history.state, "", hash);
}

/** The same, and in the query that a page holds. */
export function remember(query, values) {
  change(values);
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
}
