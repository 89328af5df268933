// Settings compared: for each metric a table, and a plot of every run of every side.

import { h, named, table } from "./dom.js";
import { command } from "./facts.js";

const HEIGHT = 26;

export function comparison(doc) {
  return h("div", { class: "stack whole" },
    h("section", { class: "verdict", "aria-label": "Summary" }, h("h1", {}, doc.title), doc.words.map((line) => h("p", {}, line))),
    h("div", { class: "report" }, doc.metrics.map((metric) => h("section", { class: "panel", "aria-label": metric.name }, h("h2", {}, named(metric.name)),
      table(`${metric.name} of each side`, ["side", "median", "95 % interval", "change", "p", `${metric.low} to ${metric.high}${metric.wide ? ", log scale" : ""}`],
        metric.sides.map((side) => [side.name, [side.median, side.order], side.interval, [side.differs ? h("strong", {}, side.change) : side.change, side.change], side.p, [side.drawn ? plot(side, doc.width) : "", side.order]])))),
    h("section", { class: "panel", "aria-label": "The sides" }, h("h2", {}, "The sides"), doc.sides.map(([name, line]) => command(name, line)))));
}

// A box with whiskers and a dot for each run; the places come with the document.
function plot({ name, median, drawn: { quartiles: [low, from, middle, to, high], dots } }, width) {
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const svg = make("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, class: "box", role: "img", "aria-label": `the runs of ${name}: median ${median}` });
  svg.append(make("line", { x1: low, x2: high, y1: 13, y2: 13 }), make("rect", { x: from, y: 5, width: Math.max(1, to - from), height: 16 }),
    ...dots.map((x) => make("circle", { cx: x, cy: 13, r: 2.5 })), make("line", { x1: middle, x2: middle, y1: 2, y2: 24, class: "median" }));
  return svg;
}
