// What every drawing over virtual time needs: the stretch that is shown, the moment that is looked
// at, a canvas of the right size, an axis.
//
// Charts are by hand (charts.js): all lines are steps over one shared axis with one shared moment,
// which is less code than making a charting library do so; uPlot, the smallest that could, would be
// half of the offline file.

import { color, ns } from "./dom.js";

export const LEFT = 92;

export class Moment {
  constructor(first, last) {
    this.heard = [];
    this.at = null;
    this.text = ns; // how a point of it is written
    this.span(first, last);
  }

  span(first, last, fit = true) {
    this.first = first;
    this.last = Math.max(last, first + 1);
    if (fit) { this.from = this.first; this.to = this.last; }
  }

  on(work) { this.heard.push(work); }

  tell() { for (const work of this.heard) work(); }

  show(from, to) {
    const whole = this.last - this.first, span = Math.min(whole, Math.max(to - from, Math.min(20, whole)));
    this.from = Math.min(Math.max(from, this.first), this.last - span);
    this.to = this.from + span;
    this.tell();
  }

  zoom(factor, around = 0.5) {
    const span = this.to - this.from, at = this.from + span * around, wanted = span * factor;
    this.show(at - wanted * around, at + wanted * (1 - around));
  }

  move(by) { const span = this.to - this.from; this.show(this.from + span * by, this.to + span * by); }

  // Look at a moment; the window goes with it.
  look(at) {
    this.at = Math.min(Math.max(at, this.first), this.last);
    const span = this.to - this.from;
    this.show(this.at - span / 2, this.at + span / 2);
  }
}

// A canvas of that height, cleared, in CSS pixels; null where it cannot be seen.
export function prepare(canvas, height) {
  const context = canvas.getContext("2d"), ratio = devicePixelRatio || 1, width = canvas.clientWidth;
  if (!width) return null;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px ui-monospace, Menlo, Consolas, monospace";
  return { context, width, height, plot: width - LEFT };
}

export function timeAxis({ context, width, height, plot }, time) {
  const span = time.to - time.from, step = nice(span / Math.max(2, plot / 130));
  context.font = "11px ui-monospace, Menlo, Consolas, monospace";
  context.textBaseline = "top";
  context.textAlign = "left";
  context.strokeStyle = color("line");
  context.fillStyle = color("faint");
  context.lineWidth = 1;
  context.beginPath();
  let free = 0;
  for (let t = Math.ceil(time.from / step) * step, i = 0; t <= time.to && i < 60; t += step, i++) {
    const at = Math.round(LEFT + ((t - time.from) / span) * plot) + 0.5;
    context.moveTo(at, 16);
    context.lineTo(at, height);
    const text = time.text(t), wide = context.measureText(text).width;
    const from = at + 3 + wide <= width ? at + 3 : at - 3 - wide; // the last one stands before its line, where there is room
    if (from > free) { context.fillText(text, from, 3); free = from + wide + 8; }
  }
  context.stroke();
}

// What lies after the moment that is looked at has not happened yet.
export function veil({ context, width, height, plot }, time, top = 16) {
  if (time.at === null) return;
  const x = Math.round(LEFT + ((time.at - time.from) / (time.to - time.from)) * plot);
  if (x >= width) return;
  context.fillStyle = color("panel");
  context.globalAlpha = 0.68;
  context.fillRect(Math.max(LEFT, x), top, width - Math.max(LEFT, x), height - top);
  context.globalAlpha = 1;
  if (x < LEFT) return;
  context.fillStyle = color("ink");
  context.fillRect(x, top, 1, height - top);
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  for (const factor of [1, 2, 5, 10]) if (factor * power >= value) return factor * power;
  return 10 * power;
}

// Draw in the next frame, once however often it is asked for.
export function framed(paint) {
  let pending = false;
  return () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => { pending = false; paint(); });
  };
}

// The letters that gorun_mem.report.page writes levels in: from "(" on, without the backslash.
export function level(text, at) {
  if (at >= text.length) return 0;
  const code = text.charCodeAt(at);
  return code - 40 - (code > 92 ? 1 : 0);
}
