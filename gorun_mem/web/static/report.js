// What a log says, as one document shows it: in the page beside the service, and in the offline file.
// What a reader wants first for this run comes first: doc.first says what that is.

import { Addresses } from "./addresses.js";
import { Moment } from "./canvas.js";
import { charts } from "./charts.js";
import { count, fill, h, named, ns, plural, table, words } from "./dom.js";
import { command, facts } from "./facts.js";
import { failure } from "./failure.js";
import { Lanes } from "./lanes.js";

// Sections of the parts; those of the part that comes first come first too.
const OF = { map: ["memory", "growths", "hints", "fragmentation", "budget"], lanes: ["contention", "convoys", "blame", "holds", "path", "order"] };
const ORDER = { steps: ["failure", "steps", "lanes", "charts", "map"], lanes: ["failure", "lanes", "charts", "map"], map: ["failure", "map", "charts", "lanes"] };
const OPEN = 3;

// The lanes of a log, with columns of every interval or, from a file, with shares of stretches.
export function lanesPanel(note, last) {
  const canvas = h("canvas"), hover = h("p", { class: "note hover" }, " ");
  const lanes = new Lanes(canvas, { onhover: (text) => { hover.textContent = text || " "; } });
  lanes.time.span(0, last);
  lanes.time.at = lanes.time.last;
  const handoffs = h("label", { class: "check", hidden: true });
  const element = h("section", { class: "panel", id: "part-lanes", "aria-label": "Lanes" }, h("div", { class: "head" }, h("h2", {}, "Who held, who waited"), h("span", { class: "note" }, note)), canvas, hover,
    h("p", { class: "legend" }, h("span", {}, h("i", { class: "k-hold" }), named("holds"), " a lock"), h("span", {}, h("i", { class: "k-wait" }), named("waits"), " for it"), h("span", {}, h("i", { class: "k-mark" }), named("growth"), ", ", named("hint miss"), " or error"), h("span", {}, "a row of waits behind one lock is a ", named("convoy")), handoffs));
  return {
    lanes, element,
    arrows(of) {
      const box = h("input", { type: "checkbox", onchange: () => { lanes.arrows = box.checked ? of : null; lanes.draw(); } });
      fill(handoffs, box, named("handoffs"));
      handoffs.hidden = false;
    },
  };
}

// Play, the moment, the window: one bar for all drawings.
export function timeBar(time, say) {
  const slider = h("input", { type: "range", min: "0", max: "1000", step: "1", value: "1000", id: "cursor", class: "grow", "aria-label": "moment of the run", oninput: () => { stop(); move(); } });
  const now = h("output", { for: "cursor", id: "now", "aria-live": "polite" });
  const button = (id, text, label, work) => h("button", { type: "button", id, "aria-label": label, onclick: work }, text);
  const move = () => time.look(time.first + ((time.last - time.first) * Number(slider.value)) / 1000);
  let timer = 0;
  const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
  const play = button("play", "Play", null, () => {
    if (timer) { stop(); return; }
    if (Number(slider.value) >= 1000) slider.value = "0";
    play.textContent = "Pause";
    timer = setInterval(() => {
      if (!slider.isConnected) { stop(); return; }
      slider.value = String(Number(slider.value) + 5);
      if (Number(slider.value) >= 1000) stop();
      move();
    }, 50);
    move();
  });
  time.on(() => {
    slider.value = String(Math.round((1000 * ((time.at ?? time.last) - time.first)) / (time.last - time.first)));
    now.textContent = say(time.at ?? time.last);
    slider.setAttribute("aria-valuetext", now.textContent.split(" · ")[0]);
  });
  return h("div", { class: "panel time", role: "group", "aria-label": "time" }, button("rewind", "Rewind", null, () => { stop(); slider.value = "0"; move(); }), play, slider,
    button("zoom-out", "−", "zoom out", () => time.zoom(1.8)), button("zoom-in", "+", "zoom in", () => time.zoom(0.55)), button("zoom-all", "All", "show all of the time", () => time.show(time.first, time.last)), now);
}

// doc: what gorun_mem.report.page makes of a log; panel: lanes that have columns already; actions and
// more: what stands below the head and at the end.
export function report(doc, { panel = null, actions = null, more = null, signal = new AbortController().signal } = {}) {
  const notes = doc.notes.map((text) => h("p", { class: "note" }, text));
  if (!panel) {
    panel = lanesPanel(doc.lanes.ms.length ? plural(doc.lanes.ms.length, "M") : "no lock was given back in this log", doc.end);
    panel.lanes.setShares(doc.lanes, doc.end);
  }
  if (doc.lanes.handoffs.length) panel.arrows({ width: doc.lanes.width, list: doc.lanes.handoffs });
  const { time } = panel.lanes, map = new Addresses(doc.map, doc.end, doc.free_label, time), drawn = charts(doc, time);
  time.at ??= time.last;
  addEventListener("themed", () => { map.image = null; time.tell(); }, { signal });
  addEventListener("resize", () => time.tell(), { signal });
  addEventListener("beforeprint", () => { for (const one of element.querySelectorAll("details")) one.open = true; }, { signal });
  const parts = {
    lanes: lanesAreEmpty(doc) ? null : panel.element,
    map: doc.map.columns.length ? h("section", { class: "panel", id: "part-map", "aria-label": "Memory: address over time" }, h("h2", {}, "Memory: ", named("address"), " over time"), map.element, notes) : null,
    charts: drawn.length ? h("section", { class: "panel", id: "part-charts", "aria-label": "Over time" }, h("h2", {}, "Over time"), h("div", { class: "charts" }, drawn.map((one) => one.element))) : null,
    failure: doc.failure ? failure(doc.failure, 0, 1) : null,
    steps: doc.steps.length ? lastSteps(doc.steps) : null,
  };
  const lead = doc.first === "map" ? OF.map : OF.lanes, rank = (one) => (lead.includes(one.name) ? 0 : 1);
  const sections = [...doc.sections].sort((a, b) => rank(a) - rank(b)).map((one, i) => sectionPanel(one, i < OPEN && (one.facts.length > 0 || one.tables.some((some) => some.rows.length > 0))));
  const folds = h("button", { type: "button", id: "folds", onclick: () => { const all = element.querySelectorAll("details.section"), open = [...all].every((one) => one.open); for (const one of all) one.open = !open; } }, "Fold or unfold all");
  const says = { lanes: panel.lanes, doc, map };
  const element = h("div", { class: "stack whole" }, head(doc), actions, contents(doc, parts), parts.lanes || parts.map || parts.charts ? timeBar(time, (at) => momentInWords(says, at)) : null, ORDER[doc.first].map((name) => parts[name]), h("div", { class: "row" }, folds), h("div", { class: "report" }, sections, metrics(doc)), more);
  time.tell();
  return element;
}

// Of a run in which no lock of the runtime's was taken there is nothing to draw.
const lanesAreEmpty = (doc) => !doc.lanes.ms.length && !doc.queues.length;

function head(doc) {
  const long = (value) => value.includes("\n");
  return h("section", { class: `verdict ${doc.outcome === "ok" ? "good" : doc.outcome ? "bad" : ""}`, "aria-label": "Summary" }, h("h1", {}, doc.title),
    doc.stuck.map((line) => h("p", { class: "mono broken" }, line)),
    facts(doc.head), [...doc.remarks, ...doc.no_failure].map((text) => h("p", { class: "note" }, text)),
    doc.results.length ? [h("h3", {}, "Results"), facts(doc.results.filter(([, value]) => !long(value))), doc.results.filter(([, value]) => long(value)).map(([name, value]) => h("div", {}, h("p", { class: "note" }, name), h("pre", { tabindex: "0" }, value)))] : null,
    doc.again ? command("Again", doc.again) : null, doc.token ? command("Step by step", `gorun-mem view ${doc.token}`) : null);
}

// Links to the parts. The address of the page says which view is shown, so it stays as it is.
function contents(doc, parts) {
  const names = { failure: "What matters", steps: "Last events", lanes: "Ms", charts: "Over time", map: "Map" };
  const all = [...ORDER[doc.first].filter((name) => parts[name]).map((name) => [parts[name].id, names[name]]), ...doc.sections.map((one) => [`part-${one.name}`, one.title]), ["part-metrics", "Metrics"]];
  return h("nav", { class: "contents", "aria-label": "Parts of the report" }, all.map(([id, text]) => h("a", { href: `#${id}`, onclick: (event) => {
    event.preventDefault();
    const part = document.getElementById(id);
    for (const one of [part, ...part.querySelectorAll("details")]) if (one.matches("details.section")) one.open = true;
    part.scrollIntoView();
    (part.querySelector("summary, canvas, button") || part).focus({ preventScroll: true });
  } }, text)));
}

function lastSteps(steps) {
  return h("section", { class: "panel", id: "part-steps", "aria-label": "The last steps" }, h("h2", {}, "The last events before it ended"),
    h("div", { class: "log", tabindex: "0", role: "region", "aria-label": "the last events" }, steps.map(({ event, level, seq, t_ns: t, m, ...rest }) => h("p", { class: level === "error" ? "bad" : "" }, h("span", { class: "t" }, `${seq} ${ns(t)} M${m} `), h("span", { class: "e" }, named(event)), ` ${words(rest)}`))));
}

function sectionPanel(section, open) {
  return h("details", { class: "panel section", id: `part-${section.name}`, open }, h("summary", {}, h("h2", {}, section.title)), facts(section.facts),
    section.remarks.map((remark) => h("p", { class: "note" }, remark)),
    section.tables.filter((one) => one.rows.length).map((one) => table(one.title, one.columns, one.rows, { left_out: one.left_out })));
}

function metrics(doc) {
  return h("details", { class: "panel section", id: "part-metrics" }, h("summary", {}, h("h2", {}, "Metrics")), table("metrics", ["name", "value"], doc.metrics.map(([name, value]) => [name, [count(value), value]])));
}

function momentInWords({ lanes, doc, map }, at) {
  const said = [`at ${ns(at)}`];
  if (doc.map.columns.length) { const [, bloc, , top] = map.at(at); said.push(`memory ${plural(Math.floor(top / 65536), "page")}`, `break 0x${bloc.toString(16)}`); }
  const { holding, waiting } = lanes.when(at), list = (all) => (all.length > 8 ? `${all.slice(0, 8).join(" ")} and ${all.length - 8} more` : all.join(" "));
  if (holding.length) said.push(`holding ${list(holding)}`);
  if (waiting.length) said.push(`waiting ${list(waiting)}`);
  return said.join(" · ");
}
