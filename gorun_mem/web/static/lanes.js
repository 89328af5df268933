// Ms as lanes on a canvas: a full bar where one holds a lock, a thin one where it waits.
//
// Intervals are columns (typed arrays), ordered by lane and begin. A frame costs at most so much:
// where a lane has more intervals in view than pixels are worth it is drawn from sums over BUCKETS
// stretches of all the time, made once.

import { color, ns } from "./dom.js";

const LANE = 22, TOP = 24, LABEL = 92, BUCKETS = 8192, DENSE = 24000;

export class Lanes {
  constructor(canvas, { onhover = null, label = "Lanes of the Ms" } = {}) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onhover = onhover;
    this.lanes = [];
    this.locks = [];
    this.lane = [];
    this.now = null;
    this.from = 0;
    this.to = 1;
    this.first = 0;
    this.last = 1;
    this.marks = [];
    this.frames = 0;
    this.pending = false;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${label}: arrow keys move, + and - zoom, Home shows all`);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  // columns: {begin, end, lane, kind, lock} of one length; lanes: [{m, name}]; locks: [name]
  set(columns, lanes, locks, { first = 0, last = 1, now = null, marks = [], fit = true } = {}) {
    this.lanes = lanes;
    this.locks = locks;
    this.marks = marks;
    this.now = now;
    this.order(columns, lanes.length);
    this.first = first;
    this.last = Math.max(last, first + 1);
    if (fit) { this.from = this.first; this.to = this.last; }
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
    const sums = [new Float32Array(n * BUCKETS), new Float32Array(n * BUCKETS)];
    for (let lane = 0; lane < n; lane++) {
      const base = lane * BUCKETS;
      for (let i = this.starts[lane]; i < this.starts[lane + 1]; i++) {
        const of = sums[this.kind[i]];
        const a = Math.max(0, (this.begin[i] - this.first) * scale), b = Math.min(BUCKETS, (this.end[i] - this.first) * scale);
        for (let at = Math.floor(a); at <= b && at < BUCKETS; at++) of[base + at] += Math.max(0, Math.min(b, at + 1) - Math.max(a, at));
      }
    }
    return (this.sums = sums);
  }

  height() { return TOP + Math.max(1, this.lanes.length) * LANE + 4; }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.paint(); });
  }

  paint() {
    const started = performance.now();
    const { canvas, context } = this;
    const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = this.height();
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const colors = { ink: color("ink"), faint: color("faint"), line: color("line"), hold: color("hold"), wait: color("wait"), sunk: color("sunk"), mark: color("mark") };
    const span = this.to - this.from, plot = width - LABEL, x = (t) => LABEL + ((t - this.from) / span) * plot;
    this.axis(colors, width, height, x);
    context.font = "12px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "middle";
    for (let lane = 0; lane < this.lanes.length; lane++) {
      const y = TOP + lane * LANE;
      if (lane % 2) { context.fillStyle = colors.sunk; context.globalAlpha = 0.5; context.fillRect(0, y, width, LANE); context.globalAlpha = 1; }
      context.fillStyle = colors.ink;
      const of = this.lanes[lane];
      context.fillText(clipped(`M${of.m} ${of.name}`), 4, y + LANE / 2);
      if (this.begin && lane + 1 < this.starts.length) this.paintLane(lane, y, plot, colors);
    }
    this.frames += 1;
    this.took = performance.now() - started;
    performance.measure("lanes.paint", { start: started, end: performance.now() });
  }

  axis(colors, width, height, x) {
    const { context } = this;
    const span = this.to - this.from, plot = width - LABEL;
    const step = nice(span / Math.max(2, plot / 130));
    context.font = "11px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "top";
    context.strokeStyle = colors.line;
    context.fillStyle = colors.faint;
    context.beginPath();
    for (let t = Math.ceil(this.from / step) * step; t <= this.to; t += step) {
      const at = Math.round(x(t)) + 0.5;
      context.moveTo(at, 16);
      context.lineTo(at, height);
      if (at < width - 40) context.fillText(ns(t), at + 3, 3);
    }
    context.stroke();
    context.strokeStyle = colors.mark;
    context.beginPath();
    for (const t of this.marks) if (t >= this.from && t <= this.to) { const at = Math.round(x(t)) + 0.5; context.moveTo(at, 14); context.lineTo(at, height); }
    context.stroke();
  }

  paintLane(lane, y, plot, colors) {
    const { begin, end, kind, context } = this;
    const low = this.search(lane, this.from), stop = this.starts[lane + 1];
    const pixels = Math.ceil(plot), scale = plot / (this.to - this.from);
    const holds = (this.holds ??= new Float32Array(8192)).fill(0, 0, pixels + 1), waits = (this.waits ??= new Float32Array(8192)).fill(0, 0, pixels + 1);
    if (this.upper(lane, this.to) - low > DENSE) {
      const [wait, hold] = this.summed(), base = lane * BUCKETS;
      const per = (this.to - this.from) / plot, to = BUCKETS / (this.last - this.first);
      for (let p = 0; p < pixels; p++) {
        const bucket = Math.min(BUCKETS - 1, Math.max(0, Math.floor((this.from + p * per - this.first) * to)));
        holds[p] = hold[base + bucket];
        waits[p] = wait[base + bucket];
      }
    } else {
      for (let i = low; i < stop && begin[i] <= this.to; i++) {
        const a = Math.max(0, (begin[i] - this.from) * scale), b = Math.min(plot, (end[i] - this.from) * scale);
        const of = kind[i] ? holds : waits, first = Math.floor(a), last = Math.min(pixels, Math.max(first + 1, Math.ceil(b)));
        if (last - first === 1) of[first] = Math.min(1, of[first] + Math.max(0.35, b - a));
        else for (let p = first; p < last; p++) of[p] = 1;
      }
    }
    stroke(context, holds, pixels, colors.hold, LABEL, y + 3, LANE - 6);
    stroke(context, waits, pixels, colors.wait, LABEL, y + LANE / 2 - 2.5, 5);
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
    if (lane < 0 || lane >= this.lanes.length || x < LABEL || !this.begin) return "";
    const t = this.from + ((x - LABEL) / (this.canvas.clientWidth - LABEL)) * (this.to - this.from);
    const near = ((this.to - this.from) / this.canvas.clientWidth) * 2;
    for (let i = this.search(lane, t - near); i < this.starts[lane + 1] && this.begin[i] <= t + near; i++) {
      if (this.end[i] + near >= t) return `M${this.lanes[lane].m} ${this.kind[i] ? "holds" : "waits for"} ${this.locks[this.lock[i]]} for ${ns(this.end[i] - this.begin[i])} from ${ns(this.begin[i])}`;
    }
    return `M${this.lanes[lane].m} at ${ns(t)}`;
  }

  show(from, to) {
    const whole = this.last - this.first, span = Math.min(whole, Math.max(to - from, Math.min(20, whole)));
    this.from = Math.min(Math.max(from, this.first), this.last - span);
    this.to = this.from + span;
    this.onshow?.();
    this.draw();
  }

  zoom(factor, around = 0.5) {
    const span = this.to - this.from, at = this.from + span * around, wanted = span * factor;
    this.show(at - wanted * around, at + wanted * (1 - around));
  }

  move(by) { const span = this.to - this.from; this.show(this.from + span * by, this.to + span * by); }

  listen() {
    const { canvas } = this;
    const share = (event) => Math.min(1, Math.max(0, (event.offsetX - LABEL) / (canvas.clientWidth - LABEL)));
    canvas.addEventListener("keydown", (event) => {
      const does = { ArrowLeft: () => this.move(-0.15), ArrowRight: () => this.move(0.15), "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1.7), Home: () => this.show(this.first, this.last) }[event.key];
      if (does) { event.preventDefault(); does(); }
    });
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) < Math.abs(event.deltaY) && document.activeElement !== canvas) return;
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) this.move((event.deltaX || event.deltaY) / 1500);
      else this.zoom(Math.exp(event.deltaY / 500), share(event));
    }, { passive: false });
    let dragged = null;
    canvas.addEventListener("pointerdown", (event) => { dragged = { x: event.clientX, from: this.from, to: this.to }; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointermove", (event) => {
      if (dragged) {
        const by = ((dragged.x - event.clientX) / (canvas.clientWidth - LABEL)) * (dragged.to - dragged.from);
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

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= value) return factor * power;
  return 10 * power;
}

// The columns of a file, as gorun_mem.web.columns writes them.
export function unpack(data, n) {
  return {
    begin: new Float64Array(data, 0, n), end: new Float64Array(data, 8 * n, n), lane: new Uint16Array(data, 16 * n, n),
    kind: new Uint8Array(data, 18 * n, n), lock: new Uint8Array(data, 19 * n, n),
  };
}
