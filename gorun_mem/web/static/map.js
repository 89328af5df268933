// The linear memory as a map: from the program's data to the top, row by row, by address.

import { bytes, color, h, hex, plural, term } from "./dom.js";

const ROWS = 6, ROW = 20, GAP = 4;

export function drawMap(canvas, map) {
  const context = canvas.getContext("2d"), ratio = devicePixelRatio || 1;
  const width = canvas.clientWidth, height = ROWS * (ROW + GAP) + 18;
  if (!width || !map) return;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  canvas.style.height = `${height}px`;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const low = map.data_end, high = Math.max(map.top, map.bloc_max, map.bloc, low + 1), per = (high - low) / ROWS;
  const paint = (from, size, style) => {
    context.fillStyle = style;
    for (let row = Math.max(0, Math.floor((from - low) / per)); row < ROWS && low + row * per < from + size; row++) {
      const start = low + row * per, a = Math.max(from, start), b = Math.min(from + size, start + per);
      const x = ((a - start) / per) * width;
      const wide = ((b - a) / per) * width, edge = from === a && wide > 4 ? 1 : 0; // ranges side by side are told apart
      context.fillRect(x + edge, row * (ROW + GAP), Math.max(1, wide - edge), ROW);
    }
  };
  paint(low, high - low, color("slack"));
  for (const [addr, size] of map.live) paint(addr, size, color("live"));
  for (const [addr, size] of map.free) paint(addr, size, color("free"));
  context.fillStyle = color("mark");
  const mark = (addr) => {
    const row = Math.min(ROWS - 1, Math.floor((addr - low) / per));
    context.fillRect(Math.min(width - 2, ((addr - low - row * per) / per) * width), row * (ROW + GAP) - 2, 2, ROW + 4);
  };
  if (map.bloc > low) mark(map.bloc);
  context.fillStyle = color("faint");
  context.font = "11px ui-monospace, Menlo, Consolas, monospace";
  context.textBaseline = "bottom";
  context.fillText(hex(low), 0, height);
  const end = `${hex(high)} (${bytes(high)})`;
  context.fillText(end, width - context.measureText(end).width, height);
}

export function mapInWords(map) {
  if (!map) return "The memory has not been used yet.";
  const sum = (ranges) => ranges.reduce((all, one) => all + one[1], 0);
  return `${plural(map.live.length, "range")} handed out, ${bytes(sum(map.live))}; ${plural(map.free.length, "free block")}, ${bytes(sum(map.free))}; the break at ${hex(map.bloc)}`;
}

export function mapLegend() {
  return h("p", { class: "legend" }, h("span", {}, h("i", { class: "k-live" }), "handed out"), h("span", {}, h("i", { class: "k-free" }), term("free block", "free list")), h("span", {}, h("i", { class: "k-slack" }), "neither"), h("span", {}, h("i", { class: "k-mark" }), term("break")));
}
