// Calls of the JSON API, and its event streams, with the token where one is needed.

import { h } from "./dom.js";

const KEY = "gorun_mem.token";
let token = sessionStorage.getItem(KEY) || "";

export class ApiError extends Error {
  constructor(status, told) {
    super(told.error || `the server answered ${status}`);
    this.status = status;
    this.hint = told.hint || "";
  }
}

const headers = () => (token ? { Authorization: `Bearer ${token}` } : {});

async function send(method, path, body, signal) {
  const options = { method, headers: headers(), signal };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { error: "the server does not answer", hint: "is gorun-mem still running?" });
  }
  if (response.status === 401) {
    await askForToken();
    return send(method, path, body, signal);
  }
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => ({})));
  return response;
}

export const get = async (path, signal) => (await send("GET", path, undefined, signal)).json();
export const post = async (path, body = {}) => (await send("POST", path, body)).json();
export const remove = async (path) => (await send("DELETE", path)).json();
export const buffer = async (path) => (await send("GET", path)).arrayBuffer();

export async function download(path, name) {
  const blob = await (await send("GET", path)).blob();
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

let asking = null;
function askForToken() {
  asking ??= new Promise((resolve) => {
    const input = h("input", { type: "password", autocomplete: "off", "aria-label": "token", required: true });
    const dialog = h("dialog", { class: "panel" }, h("form", {
      class: "stack",
      onsubmit: (event) => {
        event.preventDefault();
        token = input.value.trim();
        sessionStorage.setItem(KEY, token);
        dialog.close();
        dialog.remove();
        asking = null;
        resolve();
      },
    }, h("h2", {}, "This address needs a token"), h("p", { class: "note" }, "It is in the file that the server was given by --token-file."), input, h("button", { class: "main" }, "Go on")));
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// A stream of server-sent events by fetch: EventSource cannot send a token. It begins anew when it breaks.
// A tab that nobody sees listens to nothing: a browser has few connections to one server.
export async function listen(path, handlers, signal) {
  let pause = 500;
  while (!signal.aborted) {
    if (document.hidden) { await seen(signal); continue; }
    const shown = new AbortController(), end = () => shown.abort(), turn = () => { if (document.hidden) end(); };
    signal.addEventListener("abort", end);
    document.addEventListener("visibilitychange", turn);
    try {
      const response = await send("GET", path, undefined, shown.signal);
      handlers.open?.();
      pause = 500;
      await read(response.body.getReader(), handlers);
    } catch (error) {
      if (signal.aborted) return;
      if (shown.signal.aborted) continue;
      handlers.broken?.(error);
      if (error.status === 400 || error.status === 404) return;
    } finally {
      signal.removeEventListener("abort", end);
      document.removeEventListener("visibilitychange", turn);
    }
    if (signal.aborted) return;
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(pause * 2, 8000);
    handlers.broken?.(new ApiError(0, { error: "the stream has ended; trying again" }));
  }
}

const seen = (signal) => new Promise((resolve) => {
  document.addEventListener("visibilitychange", resolve, { once: true, signal });
  signal.addEventListener("abort", resolve, { once: true });
});

async function read(reader, handlers) {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const parts = rest.split("\n\n");
    rest = parts.pop();
    const batch = {};
    for (const part of parts) {
      let event = "message", data = "";
      for (const line of part.split("\n")) {
        if (line.startsWith("event: ")) event = line.slice(7);
        else if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) (batch[event] ??= []).push(JSON.parse(data));
    }
    for (const [event, all] of Object.entries(batch)) handlers[event]?.(all);
  }
}
