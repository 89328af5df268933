// The linear memory as a map of addresses over virtual time, and as a strip at one moment.
//
// The map is a picture of at most some hundred columns and rows, painted once; a frame scales it.

import { bytes, color, h, hex, named } from "./dom.js";
import { LEFT, framed, level, prepare, timeAxis, veil } from "./canvas.js";

const HEIGHT = 340, TOP = 22, BOTTOM = 6, COLUMNS_MAX = 2048;

export class Addresses {
  // map: a report's; end: the last ns; free: what lies below the break and is not handed out is called
  constructor(map, end, free, time) {
    Object.assign(this, { map, end, time });
    this.columns = map.columns;
    const highest = this.columns.reduce((most, one) => Math.max(most, one[2], one[3]), map.unit);
    this.rows = Math.min(map.rows, Math.max(1, Math.ceil(highest / map.unit)));
    this.canvas = h("canvas", { role: "img", "aria-label": "addresses of the linear memory over virtual time" });
    this.strip = h("canvas", { role: "img", "aria-label": "the memory at the moment that is looked at" });
    this.words = h("p", { class: "note" });
    this.draw = framed(() => this.paint());
    const box = (name, on, text, sign) => (this[name] = h("input", { type: "checkbox", checked: on, onchange: () => this.draw() }), h("label", { class: "check" }, this[name], text, " ", h("b", { class: `sign-${name}`, "aria-hidden": "true" }, sign)));
    this.element = h("div", {},
      h("p", { class: "legend" }, h("span", {}, h("i", { class: "k-live" }), named("arenas")), h("span", {}, h("i", { class: "k-other" }), "metadata, unnamed"), h("span", {}, h("i", { class: "k-free" }), named(free)), h("span", {}, h("i", { class: "k-slack" }), named("above the break")), h("span", {}, h("i", { class: "k-static" }), "static data")),
      h("p", { class: "legend" }, box("growths", true, "growths", "▲\ufe0e"), box("misses", true, "hint misses", "◆\ufe0e"), box("frees", false, "frees", "•")),
      h("div", { class: "pair" }, this.canvas, this.strip), this.words);
    time.on(this.draw);
    new ResizeObserver(this.draw).observe(this.canvas);
    addEventListener("themed", () => { this.image = null; this.draw(); });
  }

  shade(column, row) {
    const [, bloc, , top, , , cells] = column, low = row * this.map.unit;
    if (low >= top) return null;
    const code = level(cells, row), most = this.map.levels - 1;
    let arena = Math.floor(code / this.map.levels) / most, other = (code % this.map.levels) / most;
    const sum = Math.max(1, arena + other);
    arena /= sum; other /= sum;
    const rest = low + this.map.unit <= this.map.static ? "static" : low >= bloc ? "slack" : "free", key = `${arena},${other},${rest}`;
    if (!this.known.has(key)) this.known.set(key, blend([["live", arena], ["other", other], [rest, Math.max(0, 1 - arena - other)]]));
    return this.known.get(key);
  }

  picture() {
    if (this.image) return this.image;
    this.known = new Map();
    const { width } = this.map, wide = Math.max(1, Math.min(COLUMNS_MAX, Math.ceil(this.end / width)));
    const image = new ImageData(wide, this.rows);
    this.columns.forEach((column, i) => {
      const from = Math.max(0, Math.floor(column[0] / width)), to = Math.min(wide, i + 1 < this.columns.length ? Math.floor(this.columns[i + 1][0] / width) : wide);
      for (let row = 0; row < this.rows; row++) {
        const shade = this.shade(column, row);
        if (shade) for (let at = from; at < to; at++) image.data.set([...shade, 255], 4 * (at + (this.rows - 1 - row) * wide));
      }
    });
    this.image = document.createElement("canvas");
    this.image.width = wide;
    this.image.height = this.rows;
    this.image.getContext("2d").putImageData(image, 0, 0);
    return this.image;
  }

  y(address, height) { return height - BOTTOM - (address / (this.rows * this.map.unit)) * (height - BOTTOM - TOP); }

  at(t) {
    let low = 0, high = this.columns.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.columns[middle][0] <= t) low = middle; else high = middle - 1; }
    return this.columns[low];
  }

  paint() {
    const drawn = this.columns.length ? prepare(this.canvas, HEIGHT) : null;
    if (!drawn) return;
    const { context, height, plot } = drawn, { time } = this, span = time.to - time.from, image = this.picture();
    timeAxis(drawn, time);
    context.save();
    context.beginPath();
    context.rect(LEFT, TOP - 6, plot, height);
    context.clip();
    context.imageSmoothingEnabled = false;
    const to = (t) => LEFT + ((t - time.from) / span) * plot;
    context.drawImage(image, to(0), TOP, to(image.width * this.map.width) - to(0), height - BOTTOM - TOP);
    this.signs(context, to, height);
    context.restore();
    context.fillStyle = color("faint");
    context.font = "11px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "middle";
    for (let i = 0; i <= 4; i++) { const address = (this.rows * this.map.unit * i) / 4; context.fillText(bytes(address), 2, Math.min(this.y(address, height), height - BOTTOM - 4)); }
    veil(drawn, time);
    this.paintStrip(image);
  }

  signs(context, to, height) {
    const highest = this.rows * this.map.unit, at = (address) => this.y(Math.min(address, highest), height);
    const sign = (style, trace) => { context.beginPath(); trace(); context.strokeStyle = color("panel"); context.lineWidth = 2; context.stroke(); context.fillStyle = style; context.fill(); };
    if (this.frees.checked) for (const [column, row, times] of this.map.frees) sign(color("dot"), () => context.arc(to((column + 0.5) * this.map.width), at((row + 0.5) * this.map.unit), Math.min(3.5, 1 + Math.log10(times + 1)), 0, 7));
    if (this.growths.checked) for (const [t, , after, ok] of this.map.growths) {
      const x = to(t), y = at(after);
      if (ok) sign(color("mark"), () => { context.moveTo(x, y - 4); context.lineTo(x + 4, y + 4); context.lineTo(x - 4, y + 4); context.closePath(); });
      else { context.strokeStyle = color("bad"); context.lineWidth = 3; context.beginPath(); context.moveTo(x - 5, y + 3); context.lineTo(x + 5, y + 13); context.moveTo(x + 5, y + 3); context.lineTo(x - 5, y + 13); context.stroke(); }
    }
    if (this.misses.checked) for (const [t, address] of this.map.misses) sign(color("miss"), () => { const x = to(t), y = at(address); context.moveTo(x, y - 5); context.lineTo(x + 5, y); context.lineTo(x, y + 5); context.lineTo(x - 5, y); context.closePath(); });
    context.lineWidth = 1;
  }

  paintStrip(image) {
    const drawn = prepare(this.strip, HEIGHT), t = this.time.at ?? this.time.last, column = this.at(t);
    if (!drawn) return;
    const { context, width, height } = drawn, tall = height - BOTTOM - TOP;
    context.imageSmoothingEnabled = false;
    context.drawImage(image, Math.min(image.width - 1, Math.max(0, Math.floor(t / this.map.width))), 0, 1, image.height, 0, TOP, width, tall);
    context.strokeStyle = color("line");
    context.strokeRect(0.5, TOP, width - 1, tall);
    const y = this.y(column[1], height);
    context.fillStyle = color("ink");
    context.fillRect(0, y - 1, width, 2);
    context.font = "11px ui-monospace, Menlo, Consolas, monospace";
    context.textBaseline = "top";
    context.textAlign = "left";
    context.fillText("break", 2, y > 40 ? y - 14 : y + 4);
    this.words.textContent = `memory ${bytes(column[3])}, the break at ${hex(column[1])}, arenas ${bytes(column[4])}, metadata and unnamed ${bytes(column[5])}`;
  }
}

const parts = (name) => { const value = color(name); return [1, 3, 5].map((i) => parseInt(value.slice(i, i + 2), 16)); };

function blend(weights) {
  const sum = [0, 0, 0];
  for (const [name, weight] of weights) parts(name).forEach((value, i) => { sum[i] += value * weight; });
  return sum.map(Math.round);
}
