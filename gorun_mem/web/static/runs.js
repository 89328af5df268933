// Runs: a scenario with its options as a form, and what the run's log says, what matters first.

import { buffer, download, get, post, remove } from "./api.js";
import { bytes, complain, count, field, fill, guarded, h, ns, words } from "./dom.js";
import { unpack } from "./lanes.js";
import { scenarioForm } from "./form.js";
import { prediction } from "./prediction.js";
import { lanesPanel, report } from "./report.js";

export async function runs({ main, rest, library, signal, say }) {
  const shown = Number(rest[0]) || 0;
  const list = h("div", { class: "lesson-list" }), place = h("div", { class: "stack" });
  const open = (id) => { location.hash = `runs/${id}`; };

  const first = (await get("/api/runs", signal)).runs;
  if (!shown && first.length) { location.replace(`#runs/${first[0].id}`); return; }
  const draw = async (all) => {
    all ||= (await get("/api/runs", signal)).runs;
    fill(list, all.length ? all.map((run) => h("button", { type: "button", "aria-current": String(run.id === shown), onclick: () => open(run.id) }, `${run.id}. ${run.title} `, h("span", { class: "note" }, run.state === "running" ? "running" : run.summary ? run.summary.outcome : run.state))) : h("p", { class: "empty" }, "None yet: start one above."));
  };
  fill(main, h("h1", { class: "visually-hidden" }, "Runs"), h("div", { class: "side" },
    h("div", { class: "stack" }, scenarioForm(library, { folded: Boolean(shown) && !matchMedia("(min-width: 64rem)").matches, start: async (wanted) => open((await post("/api/runs", wanted)).id) }), h("div", { class: "panel" }, h("h2", {}, "Runs so far"), list)), place));
  await draw(first);
  if (!shown) {
    fill(place, h("div", { class: "panel" }, h("p", { class: "empty" }, "Choose a scenario and start it. Its run opens here: who waited for whom, the memory, the report.")));
    return;
  }
  await follow(shown, place, signal, say, draw, library);
}

// One run.

async function follow(id, place, signal, say, draw, library) {
  let run = await get(`/api/runs/${id}`, signal);
  while (run.state === "running" && !signal.aborted) {
    fill(place, h("div", { class: "panel" }, h("h1", {}, run.title), h("p", { role: "status" }, `running for ${run.seconds.toFixed(1)} s; its log has ${bytes(run.log_bytes)}`), h("button", { type: "button", onclick: guarded(() => remove(`/api/runs/${id}`)) }, "Stop it")));
    await new Promise((resolve) => setTimeout(resolve, 150));
    run = await get(`/api/runs/${id}`, signal);
  }
  if (signal.aborted) return;
  await draw();
  await show(run, place, signal, say, library);
}

// The lanes come first: they are read in a second or two. The report, which takes longer, takes them in.
async function show(run, place, signal, say, library) {
  const path = `/api/runs/${run.id}`;
  fill(place, h("div", { class: `verdict ${run.exit ? "bad" : ""}` }, h("h1", {}, run.title)), h("p", { class: "empty", role: "status" }, "Reading its log"));
  let log;
  try {
    log = await get(`${path}/lanes`, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    fill(place, h("div", { class: "verdict bad" }, h("h1", {}, run.title), h("p", {}, error.message, " ", error.hint || ""), h("p", { class: "mono broken" }, run.said)));
    return;
  }
  if (signal.aborted) return;
  const { end } = log, outcome = end.outcome || "cut", failed = outcome !== "ok" && Boolean(end.token);
  const verdict = h("div", { class: `verdict ${outcome === "ok" ? "good" : "bad"}` }, h("h1", {}, run.recording || run.title), h("p", {}, sentence(log, outcome)));
  const offline = h("button", { type: "button", id: "offline", disabled: true }, "Download the offline report");
  const actions = h("div", { class: "row" },
    stepper(log, failed, library),
    h("button", { type: "button", onclick: guarded(() => download(`${path}/log`, `${run.title}.jsonl`)) }, "Download the log"), offline);
  const panel = lanesPanel(`${count(log.intervals)} intervals`, log.last_ns), lines = linesPanel(path, signal);
  const real = run.recording ? h("div", { class: "stack" }, h("p", { class: "empty", role: "status" }, "Asking what its pages are for, and what other releases would take")) : null;
  fill(place, verdict, actions, real, panel.element, h("p", { class: "empty", role: "status" }, "Reckoning the report"), lines);
  await loadLanes(panel.lanes, log);
  if (real) get(`${path}/prediction`, signal).then((doc) => fill(real, prediction(doc, signal)), (error) => { if (error.name !== "AbortError") fill(real, h("p", { class: "empty" }, error.message)); });
  try {
    const doc = await get(`${path}/report`, signal);
    const focus = document.activeElement;
    if (run.recording) doc.title = run.recording;
    fill(place, report(doc, { panel, actions: [actions, real], more: lines, signal }));
    if (focus?.isConnected) focus.focus({ preventScroll: true });
    offline.disabled = false;
    offline.onclick = guarded(() => download(`/api/files/${doc.file}`, `${run.title}.html`));
  } catch (error) {
    if (error.name === "AbortError") return;
    complain(error);
    place.querySelector(".empty")?.replaceChildren(error.message);
  }
}

// A run under clocks has no schedule to step through; its scenario can be played by hand.
function stepper({ start, end }, failed, library) {
  if (end.token && !end.uncontrolled && !end.token.includes(":")) return h("a", { class: "button", href: `#chair/token/${encodeURIComponent(end.token)}` }, failed ? "Step through what failed" : "Step through it");
  return library.scenarios.some((one) => one.name === start.scenario) ? h("a", { class: "button", href: `#chair/${start.scenario}` }, "Play it by hand") : null;
}

function sentence(log, outcome) {
  const { end } = log, what = { ok: "It ended well", cut: "The log has no end: the run was cut off, or goes on" }[outcome] || `It ended in ${outcome.replaceAll("_", " ")}`;
  const parts = [`${what} after ${ns(log.last_ns)} of virtual time`, `${count(log.events)} events`];
  if (end.error_type) parts.push(end.error_type);
  if (log.damaged) parts.push(`${count(log.damaged)} lines could not be read`);
  return `${parts.join("; ")}.`;
}

async function loadLanes(lanes, log) {
  const began = performance.now();
  const data = await buffer(`/api/files/${log.file}`);
  lanes.set(unpack(data, log.intervals), log.lanes.length ? log.lanes : [{ m: 0, name: "no lock was taken" }], log.locks, { first: 0, last: log.last_ns, marks: log.marks.map((mark) => mark[1]) });
  lanes.time.at = lanes.time.last;
  performance.measure("lanes.load", { start: began, end: performance.now() });
  lanes.canvas.dataset.loaded = String(log.intervals);
  window.gorunLanes = lanes;
}

function linesPanel(path, signal) {
  const lines = h("div", { class: "log", tabindex: "0", role: "region", "aria-label": "lines of the log" });
  const filter = h("input", { placeholder: "lock.*, mem.grow, m=3", spellcheck: "false", autocomplete: "off", onchange: () => load(1) });
  let first = 1, next = 1, more = false;
  const load = guarded(async (from) => {
    const query = new URLSearchParams({ from: String(from), limit: "200" });
    if (filter.value.trim()) query.set("filter", filter.value.trim().replaceAll(" ", ""));
    const found = await get(`${path}/events?${query}`, signal);
    first = from;
    more = found.more;
    next = found.events.length ? (found.events[found.events.length - 1].seq || 0) + 1 : from;
    fill(lines, found.events.length ? found.events.map(({ event, level, seq, t_ns: t, m, ...rest }) => h("p", { class: level === "error" ? "bad" : "" }, h("span", { class: "t" }, `${seq} ${ns(t || 0)} M${m} `), h("span", { class: "e" }, event), ` ${words(rest)}`)) : h("p", { class: "t" }, "No such event."));
    lines.scrollTop = 0;
    forward.disabled = !more;
    back.disabled = first <= 1;
  });
  const forward = h("button", { type: "button", onclick: () => load(next) }, "Later"), back = h("button", { type: "button", disabled: true, onclick: () => load(1) }, "First");
  const end = h("button", { type: "button", onclick: () => load(-1) }, "Last");
  const element = h("details", { class: "panel", ontoggle: () => { if (element.open && !lines.childElementCount) load(1); } }, h("summary", {}, h("h2", {}, "The log’s lines")),
    h("div", { class: "row" }, h("div", { class: "grow" }, field("events and Ms", filter)), back, forward, end), lines);
  return element;
}
