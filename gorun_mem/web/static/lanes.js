// Ms as lanes on a canvas: a full bar where one holds a lock, a thin one where it waits.
//
// Intervals are columns (typed arrays), ordered by lane and begin. A frame costs at most so much:
// where a lane has more intervals in view than pixels are worth it is drawn from sums over BUCKETS
// stretches of all the time, made once. A report from a file has only such sums, in fewer stretches.

import { color, ns } from "./dom.js";
import { LEFT, Moment, framed, level, prepare, timeAxis, veil } from "./canvas.js";

const LANE = 22, TOP = 24, BUCKETS = 8192, DENSE = 24000, ARROW = 14;

export class Lanes {
  constructor(canvas, { onhover = null, label = "Lanes of the Ms" } = {}) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onhover = onhover;
    this.lanes = [];
    this.locks = [];
    this.lane = [];
    this.now = null;
    this.time = new Moment(0, 1);
    this.time.on(() => this.draw());
    this.marks = [];
    this.arrows = null;
    this.frames = 0;
    this.draw = framed(() => this.paint());
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${label}: arrow keys move, + and - zoom, Home shows all`);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  get first() { return this.time.first; }
  get last() { return this.time.last; }
  get from() { return this.time.from; }
  get to() { return this.time.to; }
  show(from, to) { this.time.show(from, to); }

  // columns: {begin, end, lane, kind, lock} of one length; lanes: [{m, name}]; locks: [name]
  set(columns, lanes, locks, { first = 0, last = 1, now = null, marks = [], fit = true } = {}) {
    this.lanes = lanes;
    this.locks = locks;
    this.marks = marks;
    this.now = now;
    this.order(columns, lanes.length);
    this.time.span(first, last, fit);
    this.draw();
  }

  // A report's: for each M how much of each stretch it waited and held, as letters.
  setShares({ width, levels, ms }, last) {
    const buckets = Math.max(1, ...ms.map((m) => Math.max(m.wait.length, m.hold.length)));
    const sums = [new Float32Array(ms.length * buckets), new Float32Array(ms.length * buckets)];
    ms.forEach((m, i) => [m.wait, m.hold].forEach((text, kind) => {
      for (let at = 0; at < text.length; at++) sums[kind][i * buckets + at] = level(text, at) / (levels - 1);
    }));
    this.lanes = ms.map((m) => ({ m: m.m, name: m.m < 0 ? "others" : "" }));
    this.begin = null;
    this.sums = { buckets, scale: 1 / width, first: 0, sums };
    this.time.span(0, last);
    this.draw();
  }

  order(columns, n) {
    const { begin, end, lane, kind, lock } = columns;
    const counts = new Uint32Array(n + 1);
    for (let i = 0; i < lane.length; i++) counts[lane[i] + 1]++;
    for (let i = 0; i < n; i++) counts[i + 1] += counts[i];
    const at = counts.slice();
    const size = lane.length;
    this.begin = new Float64Array(size);
    this.end = new Float64Array(size);
    this.kind = new Uint8Array(size);
    this.lock = new Uint8Array(size);
    for (let i = 0; i < size; i++) {
      const to = at[lane[i]]++;
      this.begin[to] = begin[i];
      this.end[to] = end[i];
      this.kind[to] = kind[i];
      this.lock[to] = lock[i];
    }
    this.starts = counts;
    this.sums = null;
  }

  summed() {
    if (this.sums) return this.sums;
    const n = this.lanes.length, scale = BUCKETS / (this.last - this.first);
    const buckets = BUCKETS;
    const sums = [new Float32Array(n * BUCKETS), new Float32Array(n * BUCKETS)];
    for (let lane = 0; lane < n; lane++) {
      const base = lane * BUCKETS;
      for (let i = this.starts[lane]; i < this.starts[lane + 1]; i++) {
        const of = sums[this.kind[i]];
        const a = Math.max(0, (this.begin[i] - this.first) * scale), b = Math.min(BUCKETS, (this.end[i] - this.first) * scale);
        for (let at = Math.floor(a); at <= b && at < BUCKETS; at++) of[base + at] += Math.max(0, Math.min(b, at + 1) - Math.max(a, at));
      }
    }
    return (this.sums = { buckets, scale, first: this.first, sums });
  }

  height() { return TOP + Math.max(1, this.lanes.length) * LANE + 4; }

  paint() {
    const started = performance.now(), { time } = this, drawn = prepare(this.canvas, this.height());
    if (!drawn) return;
    const { context, width, height, plot } = drawn;
    const colors = { ink: color("ink"), hold: color("hold"), wait: color("wait"), sunk: color("sunk") };
    timeAxis(drawn, time);
    this.paintMarks(drawn);
    context.font = "12px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "middle";
    for (let lane = 0; lane < this.lanes.length; lane++) {
      const y = TOP + lane * LANE;
      if (lane % 2) { context.fillStyle = colors.sunk; context.globalAlpha = 0.5; context.fillRect(0, y, width, LANE); context.globalAlpha = 1; }
      context.fillStyle = colors.ink;
      context.fillText(clipped(this.name(lane)), 4, y + LANE / 2);
      if (!this.begin ? this.sums : lane + 1 < this.starts.length) this.paintLane(lane, y, plot, colors);
    }
    if (this.arrows) this.paintArrows(drawn, colors.ink);
    veil(drawn, time);
    this.frames += 1;
    this.took = performance.now() - started;
    performance.measure("lanes.paint", { start: started, end: performance.now() });
  }

  name(lane) { const { m, name } = this.lanes[lane]; return m < 0 ? name : `M${m} ${name}`.trim(); }

  paintMarks({ context, height, plot }) {
    const { from, to } = this.time;
    context.strokeStyle = color("mark");
    context.beginPath();
    for (const t of this.marks) if (t >= from && t <= to) { const at = Math.round(LEFT + ((t - from) / (to - from)) * plot) + 0.5; context.moveTo(at, 14); context.lineTo(at, height); }
    context.stroke();
  }

  // One arrow in each stretch that is wide enough to see it: the most frequent handoff there.
  paintArrows({ context, width, plot }, ink) {
    const { from, to } = this.time, row = new Map(this.lanes.map((lane, i) => [lane.m, i])), best = new Map();
    for (const one of this.arrows.list) {
      const x = LEFT + (((one[0] + 0.5) * this.arrows.width - from) / (to - from)) * plot, place = Math.floor(x / ARROW);
      if (x < LEFT || x > width || !row.has(one[1]) || !row.has(one[2])) continue;
      if (!best.has(place) || best.get(place)[1][3] < one[3]) best.set(place, [x, one]);
    }
    context.strokeStyle = context.fillStyle = ink;
    context.globalAlpha = 0.75;
    for (const [x, [, giver, taker, times]] of best.values()) {
      const y = TOP + (row.get(giver) + 0.5) * LANE, end = TOP + (row.get(taker) + 0.5) * LANE, way = Math.sign(end - y);
      context.lineWidth = Math.min(3, 0.8 + Math.log10(times));
      context.beginPath();
      context.moveTo(x - 3, y);
      context.lineTo(x, end - way * 5);
      context.stroke();
      context.beginPath();
      context.moveTo(x, end); context.lineTo(x - 3, end - way * 6); context.lineTo(x + 3, end - way * 6);
      context.fill();
    }
    context.lineWidth = 1;
    context.globalAlpha = 1;
  }

  paintLane(lane, y, plot, colors) {
    const { begin, end, kind, context } = this;
    const low = begin ? this.search(lane, this.from) : 0, stop = begin ? this.starts[lane + 1] : 0;
    const pixels = Math.ceil(plot), scale = plot / (this.to - this.from);
    const holds = (this.holds ??= new Float32Array(8192)).fill(0, 0, pixels + 1), waits = (this.waits ??= new Float32Array(8192)).fill(0, 0, pixels + 1);
    if (!begin || this.upper(lane, this.to) - low > DENSE) {
      const { buckets, scale: to, first, sums: [wait, hold] } = this.summed(), base = lane * buckets, per = (this.to - this.from) / plot;
      for (let p = 0; p < pixels; p++) {
        const a = Math.floor((this.from + p * per - first) * to), b = Math.max(a + 1, Math.floor((this.from + (p + 1) * per - first) * to));
        for (let at = Math.max(0, a); at < b && at < buckets; at++) { holds[p] += hold[base + at] / (b - a); waits[p] += wait[base + at] / (b - a); }
      }
    } else {
      for (let i = low; i < stop && begin[i] <= this.to; i++) {
        const a = Math.max(0, (begin[i] - this.from) * scale), b = Math.min(plot, (end[i] - this.from) * scale);
        const of = kind[i] ? holds : waits, first = Math.floor(a), last = Math.min(pixels, Math.max(first + 1, Math.ceil(b)));
        if (last - first === 1) of[first] = Math.min(1, of[first] + Math.max(0.35, b - a));
        else for (let p = first; p < last; p++) of[p] = 1;
      }
    }
    stroke(context, holds, pixels, colors.hold, LEFT, y + 3, LANE - 6);
    stroke(context, waits, pixels, colors.wait, LEFT, y + LANE / 2 - 2.5, 5);
  }

  search(lane, t) {
    let low = this.starts[lane], high = this.starts[lane + 1];
    while (low < high) { const middle = (low + high) >> 1; if (this.end[middle] < t) low = middle + 1; else high = middle; }
    return low;
  }

  upper(lane, t) {
    let low = this.starts[lane], high = this.starts[lane + 1];
    while (low < high) { const middle = (low + high) >> 1; if (this.begin[middle] <= t) low = middle + 1; else high = middle; }
    return low;
  }

  // What is under a point, in words.
  at(x, y) {
    const lane = Math.floor((y - TOP) / LANE);
    if (lane < 0 || lane >= this.lanes.length || x < LEFT) return "";
    const t = this.from + ((x - LEFT) / (this.canvas.clientWidth - LEFT)) * (this.to - this.from);
    if (!this.begin) return this.sums ? this.share(lane, t) : "";
    const near = ((this.to - this.from) / this.canvas.clientWidth) * 2;
    for (let i = this.search(lane, t - near); i < this.starts[lane + 1] && this.begin[i] <= t + near; i++) {
      if (this.end[i] + near >= t) return `M${this.lanes[lane].m} ${this.kind[i] ? "holds" : "waits for"} ${this.locks[this.lock[i]]} for ${ns(this.end[i] - this.begin[i])} from ${ns(this.begin[i])}`;
    }
    return `M${this.lanes[lane].m} at ${ns(t)}`;
  }

  // Who holds and who waits at a moment; of sums, in the stretch that it lies in.
  when(t) {
    const found = { holding: [], waiting: [] };
    for (let lane = 0; lane < this.lanes.length; lane++) {
      if (this.begin) {
        for (let i = this.search(lane, t); i < this.starts[lane + 1] && this.begin[i] <= t; i++) if (this.end[i] > t) (this.kind[i] ? found.holding : found.waiting).push(this.name(lane));
      } else if (this.sums) {
        const { buckets, scale, first, sums: [wait, hold] } = this.sums, at = lane * buckets + Math.min(buckets - 1, Math.floor((t - first) * scale));
        if (hold[at]) found.holding.push(this.name(lane));
        if (wait[at]) found.waiting.push(this.name(lane));
      }
    }
    return found;
  }

  share(lane, t) {
    const { buckets, scale, first, sums: [wait, hold] } = this.sums, at = Math.floor((t - first) * scale);
    const part = (of) => `${Math.round(100 * (of[lane * buckets + at] || 0))} %`;
    return `${this.name(lane)} from ${ns(at / scale)} to ${ns((at + 1) / scale)}: holds ${part(hold)}, waits ${part(wait)}`;
  }

  listen() {
    const { canvas } = this;
    const share = (event) => Math.min(1, Math.max(0, (event.offsetX - LEFT) / (canvas.clientWidth - LEFT)));
    canvas.addEventListener("keydown", (event) => {
      const does = { ArrowLeft: () => this.time.move(-0.15), ArrowRight: () => this.time.move(0.15), "+": () => this.time.zoom(0.6), "=": () => this.time.zoom(0.6), "-": () => this.time.zoom(1.7), Home: () => this.show(this.first, this.last) }[event.key];
      if (does) { event.preventDefault(); does(); }
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) < Math.abs(event.deltaY) && document.activeElement !== canvas) return;
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) this.time.move((event.deltaX || event.deltaY) / 1500);
      else this.time.zoom(Math.exp(event.deltaY / 500), share(event));
    }, { passive: false });
    let dragged = null;
    canvas.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, from: this.from, to: this.to }; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (dragged) {
        const by = ((dragged.x - event.clientX) / (canvas.clientWidth - LEFT)) * (dragged.to - dragged.from);
        this.show(dragged.from + by, dragged.to + by);
      }
      this.onhover?.(this.at(event.offsetX, event.offsetY));
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { dragged = null; });
    canvas.addEventListener("pointerleave", () => this.onhover?.(""));
  }
}

function stroke(context, of, pixels, style, left, top, height) {
  context.fillStyle = style;
  for (let p = 0; p < pixels;) {
    const value = of[p];
    if (!value) { p++; continue; }
    let q = p + 1;
    const level = Math.min(4, Math.ceil(value * 4));
    while (q < pixels && of[q] && Math.min(4, Math.ceil(of[q] * 4)) === level) q++;
    context.globalAlpha = 0.25 + 0.1875 * level;
    context.fillRect(left + p, top, q - p, height);
    p = q;
  }
  context.globalAlpha = 1;
}

const clipped = (text) => (text.length > 12 ? `${text.slice(0, 11)}…` : text);

// The columns of a file, as gorun_mem.web.columns writes them.
export function unpack(data, n) {
  return {
    begin: new Float64Array(data, 0, n), end: new Float64Array(data, 8 * n, n), lane: new Uint16Array(data, 16 * n, n),
    kind: new Uint8Array(data, 18 * n, n), lock: new Uint8Array(data, 19 * n, n),
  };
}
