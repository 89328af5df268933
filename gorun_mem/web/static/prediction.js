// A recording of a real program: its pages over time, what they are for, what other releases would take.
// The documents are those of `report RECORDING --json` and `predict RECORDING --json`.

import { Moment } from "./canvas.js";
import { Chart } from "./charts.js";
import { bytes, count, h, named, plural, table } from "./dom.js";
import { facts } from "./facts.js";

const PAGE = 65536, WIDTH = 260, HEIGHT = 22;

export function prediction({ report, predict, parts }, signal) {
  return [report.error ? failed("What its pages are for", report.error) : pages(report, parts, signal), predict.error ? failed("Under other releases", predict.error) : predict.programs.map((one) => releases(one))];
}

const failed = (title, text) => h("section", { class: "panel", "aria-label": title }, h("h2", {}, title), h("p", { class: "note" }, text));

function pages(doc, words, signal) {
  const { end, samples } = doc, time = new Moment(0, end.seq), all = [...samples, end];
  time.text = (n) => `event ${count(Math.round(n))}`;
  const line = (of) => [[0, of === null ? doc.initial_pages * PAGE : 0], ...all.map((one) => [one.seq, of === null ? one.pages * PAGE : one.parts[of]])].slice(of === null ? 0 : 1);
  const shown = Object.keys(words).filter((name) => all.some((one) => one.parts[name] > 0));
  const chart = new Chart({ title: "Pages over time", about: "after each growth, and at the end", text: (value) => `${bytes(value)}`, lines: [["memory", line(null)], ["in use", line("in_use")], ["free", line("free")]] }, time);
  addEventListener("themed", () => time.tell(), { signal });
  time.tell();
  const taken = Object.values(doc.reclaimable).reduce((sum, one) => sum + Math.floor(one / PAGE), 0);
  return h("section", { class: "panel", id: "part-pages", "aria-label": "What its pages are for" }, h("h2", {}, "What its ", named("pages"), " are for"),
    facts([["program", `${doc.program || "a program"}, ${doc.release} ${doc.platform}`], ["pages", `${count(doc.pages)} at the end, ${count(doc.initial_pages)} at the start`], ["most in use at once", `${bytes(doc.peak_live)}, at event ${count(doc.peak_seq)}`], ["collections", count(doc.collections)], ["could be taken back", `${plural(taken, "page")}, by a host that has memory.discard`]]),
    chart.element,
    h("div", { class: "two" },
      table("what they are for at the end", ["part", "pages", "could be taken back"], shown.map((name) => [words[name], [count(Math.round(end.parts[name] / PAGE * 10) / 10), end.parts[name]], [count(Math.floor((doc.reclaimable[name] || 0) / PAGE)), doc.reclaimable[name] || 0]])),
      table("who asked for what grew the memory", ["who", "pages"], Object.entries(doc.grown_by).map(([who, n]) => [who, [count(n), n]]))));
}

// A row a release: pages with the interval that they are predicted to lie in.
function releases(one) {
  const most = Math.max(1, ...one.releases.map((row) => row.high || row.pages || 0));
  const rows = one.releases.map((row) => [[row.recorded ? h("b", {}, row.release) : row.release, row.release], row.recorded ? "recorded" : row.outcome.replaceAll("_", " "), figure(row.pages), [row.pages === null ? "" : interval(row, most), row.pages ?? 0], figure(row.initial_pages), figure(row.grows), [row.peak_live_bytes === null ? "–" : bytes(row.peak_live_bytes), row.peak_live_bytes ?? 0], row.why || ""]);
  return h("section", { class: "panel", id: "part-releases", "aria-label": "Under other releases" }, h("h2", {}, "Under other ", named("releases")),
    h("p", { class: "note" }, `Recorded with ${one.recorded.map((r) => r.release).join(", ")}: ${count(one.own_range[0])}${one.own_range[1] !== one.own_range[0] ? ` to ${count(one.own_range[1])}` : ""} pages of 64 KiB. A bar is the interval that a prediction is expected to lie in.`),
    one.warnings?.map((text) => h("p", { class: "note" }, text)),
    table("pages by release", ["release", "outcome", "pages", `0 to ${count(most)} pages`, "starts with", "growths", "most live", "why"], rows));
}

const figure = (value) => [value === null || value === undefined ? "–" : count(value), value ?? -1];

function interval({ pages, low, high, recorded }, most) {
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const x = (value) => (value / most) * (WIDTH - 6) + 3;
  const svg = make("svg", { width: WIDTH, height: HEIGHT, viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "box", role: "img", "aria-label": `${pages} pages, between ${low ?? pages} and ${high ?? pages}` });
  svg.append(make("line", { x1: x(0), x2: x(most), y1: 11, y2: 11, class: "scale" }));
  if (low !== null && high !== null && !recorded) svg.append(make("rect", { x: x(low), y: 5, width: Math.max(1, x(high) - x(low)), height: 12 }));
  svg.append(make("line", { x1: x(pages), x2: x(pages), y1: 2, y2: 20, class: "median" }));
  return svg;
}
