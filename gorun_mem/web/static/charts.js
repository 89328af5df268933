// Figures over virtual time as steps: a value lasts until the next. What the lines say at the moment
// that is looked at stands beside their names, so that a chart can be read without a pointer.

import { bytes, color, h, named } from "./dom.js";
import { LEFT, framed, prepare, timeAxis, veil } from "./canvas.js";

const HEIGHT = 190, TOP = 24, BOTTOM = 8, STYLES = [[], [6, 4], [2, 3], [9, 3, 2, 3], [1, 4], [12, 4]];

// The means of a queue, as steps: [time, Ms waiting], of stretches of one width.
const means = ({ width, waits }, end) => waits.map((waited, i) => [i * width, waited / Math.max(1, Math.min((i + 1) * width, end) - i * width)])
  .filter((row, i, rows) => row[0] < end && (i === 0 || row[1] !== rows[i - 1][1]));

export function charts(doc, time) {
  const plain = (value) => value.toFixed(2);
  const all = [
    { title: "Ms waiting", about: "the mean in each stretch", text: plain, lines: doc.queues.map((one) => [one.most ? `${one.name} (at most ${one.most} at once)` : one.name, means(one, doc.end)]) },
    { title: "Memory and break", text: bytes, lines: [["memory", doc.memory.top], ["highest break", doc.memory.bloc_max], ["break", doc.memory.bloc]] },
    { title: "Live and free bytes", text: bytes, lines: [["live", doc.memory.live], ["free list", doc.memory.free]] },
    { title: "Fragmentation", text: plain, most: 1, lines: [["external", doc.fragmentation.external], ["Sawicki", doc.fragmentation.sawicki]] },
  ];
  return all.map((one) => ({ ...one, lines: one.lines.filter(([, rows]) => rows.length) })).filter((one) => one.lines.some(([, rows]) => rows.some((row) => one.most || row[1] > 0))).map((one) => new Chart(one, time));
}

class Chart {
  constructor({ title, about = "", text, most = 0, lines }, time) {
    Object.assign(this, { text, lines, time });
    this.most = Math.max(most, ...lines.map(([, rows]) => rows.reduce((so, row) => Math.max(so, row[1]), 0))) || 1;
    this.values = lines.map(() => h("b", {}));
    this.canvas = h("canvas", { role: "img", "aria-label": `${title} over virtual time` });
    this.draw = framed(() => this.paint());
    this.element = h("figure", { class: "chart" }, h("figcaption", {}, h("h3", {}, named(title)), about ? h("span", { class: "note" }, about) : null), h("p", { class: "legend" }, lines.map(([name], i) => h("span", {}, h("i", { class: `line s${i % 6}` }), named(name), " ", this.values[i]))), this.canvas);
    time.on(this.draw);
    new ResizeObserver(this.draw).observe(this.canvas);
  }

  paint() {
    const drawn = prepare(this.canvas, HEIGHT);
    if (!drawn) return;
    const { context, width, height, plot } = drawn, { time } = this;
    const x = (t) => LEFT + ((t - time.from) / (time.to - time.from)) * plot, y = (value) => height - BOTTOM - (value / this.most) * (height - BOTTOM - TOP);
    timeAxis(drawn, time);
    context.fillStyle = color("faint");
    context.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) context.fillText(this.text(this.most * part), 2, Math.min(y(this.most * part), height - 7));
    context.save();
    context.beginPath();
    context.rect(LEFT, 0, plot, height);
    context.clip();
    this.lines.forEach(([, rows], i) => this.line(context, rows, i, x, y));
    context.restore();
    veil(drawn, time);
    this.lines.forEach(([, rows], i) => { const value = before(rows, time.at ?? time.last); this.values[i].textContent = value === null ? "–" : this.text(value); });
    this.canvas.dataset.most = this.text(this.most);
    if (width) this.canvas.dataset.drawn = "1";
  }

  line(context, rows, i, x, y) {
    context.strokeStyle = color(`s${i % 6}`);
    context.lineWidth = 1.8;
    context.setLineDash(STYLES[i % STYLES.length]); // lines may lie on each other
    context.beginPath();
    let last = null;
    for (const [t, value] of rows) {
      const at = x(t);
      if (last === null) context.moveTo(at, y(value)); else { context.lineTo(at, last); context.lineTo(at, y(value)); }
      last = y(value);
    }
    if (last !== null) context.lineTo(x(this.time.last), last);
    context.stroke();
    context.setLineDash([]);
    context.lineWidth = 1;
  }
}

function before(rows, t) {
  let low = -1, high = rows.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (rows[middle][0] <= t) low = middle; else high = middle - 1; }
  return low < 0 ? null : rows[low][1];
}
