// The public API from a page: the key, problems, a server that went away, packed pictures, streams of events.

const KEY = "clinic-key";
const PACKED = "application/vnd.gradient-clinic.float32";

class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `the clinic answered ${status}`);
    this.status = status;
    this.errors = body.errors ?? [];
  }
}

export const key = () => sessionStorage.getItem(KEY) ?? "";
export const keep = (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY));

const tell = (name, detail) => window.dispatchEvent(new CustomEvent(`clinic:${name}`, { detail }));
export const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});

/** The response, once it is a good one. Reads are asked again while the server is away, until `signal` ends them. */
async function ask(path, { method = "GET", body, accept = "application/json", signal, headers = {} } = {}) {
  const given = { Accept: accept, ...headers };
  if (key()) given.Authorization = `Bearer ${key()}`;
  if (body !== undefined) given["Content-Type"] = "application/json";
  for (let wait = 500; ; wait = Math.min(wait * 2, 8000)) {
    let response;
    try {
      response = await fetch(path, { method, body, signal, headers: given });
    } catch (error) {
      if (signal?.aborted) throw error;
      tell("away");
      if (method !== "GET") throw new Problem(0, { detail: "the clinic does not answer; nothing was changed" });
      await pause(wait, signal);
      continue;
    }
    if (response.status === 503 && method === "GET") {
      tell("away");
      await pause(wait, signal);
      continue;
    }
    tell("back");
    if (response.ok) return response;
    const problem = new Problem(response.status, await response.json().catch(() => ({})));
    if (response.status === 401) tell("key", problem.message);
    throw problem;
  }
}

export const get = async (path, signal) => (await ask(path, { signal })).json();

export async function send(method, path, value, headers) {
  const body = value === undefined ? undefined : JSON.stringify(value);
  const response = await ask(path, { method, body, headers });
  return response.status === 204 ? null : response.json();
}

/** Every item of a list, page by page. */
export async function every(path, signal) {
  const items = [];
  for (let token = ""; ;) {
    const page = await get(`${path}${path.includes("?") ? "&" : "?"}page_size=100${token && `&page_token=${token}`}`, signal);
    items.push(...page.items);
    token = page.next_page_token;
    if (!token) return items;
  }
}

/** A picture in buckets: its head, with each array of numbers {values: Float32Array, shape} by its path. */
export async function picture(path, signal) {
  const buffer = await (await ask(path, { accept: PACKED, signal })).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  const numbers = {};
  for (const { name, shape } of head.arrays) {
    const size = shape.reduce((product, one) => product * one, 1);
    numbers[name] = { values: new Float32Array(buffer, at, size), shape };
    at += 4 * size;
  }
  return { ...head, numbers };
}

export async function blobUrl(path, accept, signal) {
  return URL.createObjectURL(await (await ask(path, { accept, signal })).blob());
}

/** A file as the browser saves it; the key goes in a header, so a plain link would not do. */
export async function download(path, accept, name) {
  const url = await blobUrl(path, accept);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Server-sent events of an address, until their end or `signal`: told again from where a stream broke off. */
export async function follow(path, told, signal) {
  let last = "0";
  while (!signal.aborted) {
    try {
      const response = await ask(path, { accept: "text/event-stream", signal, headers: { "Last-Event-ID": last } });
      for await (const event of eventsOf(response.body)) {
        last = event.id ?? last;
        told(event.name, JSON.parse(event.data));
        if (event.name === "end") return;
      }
    } catch (error) {
      if (signal.aborted || error instanceof Problem) return;
      tell("away");
    }
    await pause(1000, signal);
  }
}

async function* eventsOf(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => {
        const colon = line.indexOf(": ");
        return [line.slice(0, colon), line.slice(colon + 2)];
      }));
      if (fields.event) yield { id: fields.id, name: fields.event, data: fields.data };
    }
  }
}
