// Draws the data of the page. All figures come with the page; here they are only placed.

const data = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
const root = document.documentElement;
const FIRST = 40;
const level = (text, at) => {
  if (at >= text.length) return 0;
  const code = text.charCodeAt(at);
  return code - FIRST - (code > 92 ? 1 : 0);
};

// Words.

const TIMES = [[1e9, "s"], [1e6, "ms"], [1e3, "us"]];
const SIZES = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]];
function ns(value) {
  for (const [unit, name] of TIMES) if (value >= unit) return `${(value / unit).toFixed(3)} ${name}`;
  return `${Math.round(value)} ns`;
}
function bytes(value) {
  for (const [unit, name] of SIZES) {
    if (value >= unit) return `${Number((value / unit).toFixed(1))} ${name}`;
  }
  return `${value} B`;
}

// Colours: those of the style sheet, in whichever theme is on.

let colours = {};
function readColours() {
  const style = getComputedStyle(root);
  const names = ["paper", "ink", "faint", "line", "panel", "accent", "bad", "arena", "other", "free",
    "slack", "static", "wait", "hold", "growth", "miss", "dot", "s1", "s2", "s3", "s4", "s5", "s6"];
  colours = Object.fromEntries(names.map((n) => [n, style.getPropertyValue(`--${n}`).trim()]));
  for (const swatch of document.querySelectorAll(".swatch")) {
    swatch.style.background = colours[swatch.dataset.color];
  }
}
const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
function blend(weights) {
  const sum = [0, 0, 0];
  for (const [name, weight] of weights) parts(colours[name]).forEach((v, i) => { sum[i] += v * weight; });
  return `rgb(${sum.map(Math.round).join(" ")})`;
}

// The moment that is shown, and the window of time around it.

const end = Math.max(1, data.end);
const view = { at: end, from: 0, to: end };
const STEPS = 1000;
function moveTo(step) {
  view.at = Math.round((end * step) / STEPS);
  const span = end / Number(by("zoom").value);
  view.from = Math.min(Math.max(0, view.at - span / 2), end - span);
  view.to = view.from + span;
}

function canvas(id) {
  const element = typeof id === "string" ? by(id) : id;
  const scale = window.devicePixelRatio || 1;
  const { width, height } = element.getBoundingClientRect();
  element.width = Math.max(1, Math.round(width * scale));
  element.height = Math.max(1, Math.round(height * scale));
  const g = element.getContext("2d");
  g.scale(scale, scale);
  g.font = "12px system-ui, sans-serif";
  return [g, width, height];
}
const LEFT = 76;
const BOTTOM = 20;
const RIGHT = 10;
const TOP = 12;
const xOf = (t, width) => LEFT + ((t - view.from) / (view.to - view.from)) * (width - LEFT - RIGHT);

function timeAxis(g, width, height) {
  g.fillStyle = colours.faint;
  g.textBaseline = "alphabetic";
  const ticks = width > 620 ? 4 : 2;
  for (let i = 0; i <= ticks; i += 1) {
    const t = view.from + ((view.to - view.from) * i) / ticks;
    g.textAlign = i === 0 ? "left" : i === ticks ? "right" : "center";
    g.fillText(ns(t), xOf(t, width), height - 4);
  }
}
function cursorLine(g, width, height) {
  const x = xOf(view.at, width);
  g.strokeStyle = colours.ink;
  g.setLineDash([4, 3]);
  g.beginPath();
  g.moveTo(x, TOP);
  g.lineTo(x, height - BOTTOM);
  g.stroke();
  g.setLineDash([]);
}
function veil(g, width, height) {
  // What lies after the chosen moment has not happened yet.
  const x = xOf(view.at, width);
  g.globalAlpha = 0.72;
  g.fillStyle = colours.paper;
  g.fillRect(x, 0, Math.max(0, width - x), height);
  g.globalAlpha = 1;
}
function within(g, width, height, draw) {
  g.save();
  g.beginPath();
  g.rect(LEFT, 0, width - LEFT - RIGHT, height - BOTTOM + 1);
  g.clip();
  draw();
  g.restore();
}

// The map.

const map = data.map;
const columns = map.columns;
const highest = Math.max(map.unit, ...columns.map((c) => Math.max(c[3], c[2])));
const shownRows = Math.min(map.rows, Math.max(1, Math.ceil(highest / map.unit)));
const shownBytes = shownRows * map.unit;

function columnAt(t) {
  let low = 0;
  let high = columns.length - 1;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (columns[mid][0] <= t) low = mid; else high = mid - 1;
  }
  return columns[low];
}
function cellColour(column, row) {
  const [, bloc, , top, , , cells] = column;
  const low = row * map.unit;
  if (low >= top) return null;
  const code = level(cells, row);
  const most = map.levels - 1;
  let arena = Math.floor(code / map.levels) / most;
  let other = (code % map.levels) / most;
  const sum = arena + other;
  if (sum > 1) { arena /= sum; other /= sum; }
  const rest = low + map.unit <= map.static ? "static" : low >= bloc ? "slack" : "free";
  const key = `${arena},${other},${rest}`;
  if (!cellColour.known.has(key)) {
    cellColour.known.set(key, blend([["arena", arena], ["other", other], [rest, Math.max(0, 1 - arena - other)]]));
  }
  return cellColour.known.get(key);
}
cellColour.known = new Map();

const yOf = (address, height) => height - BOTTOM - (address / shownBytes) * (height - BOTTOM - TOP);

function drawMap() {
  const [g, width, height] = canvas("map-canvas");
  if (!columns.length) return;
  within(g, width, height, () => {
    columns.forEach((column, i) => {
      const until = i + 1 < columns.length ? columns[i + 1][0] : end;
      if (until < view.from || column[0] > view.to) return;
      const x = Math.round(xOf(column[0], width)); // whole pixels, or seams show between columns
      const right = Math.round(xOf(until, width));
      drawColumn(g, column, x, Math.max(1, right - x), height);
    });
    drawMarks(g, width, height);
    veil(g, width, height);
  });
  addressAxis(g, height);
  timeAxis(g, width, height);
  cursorLine(g, width, height);
}
function drawColumn(g, column, x, wide, height) {
  let row = 0;
  while (row < shownRows) {
    const colour = cellColour(column, row);
    let after = row + 1;
    while (after < shownRows && cellColour(column, after) === colour) after += 1;
    if (colour !== null) {
      g.fillStyle = colour;
      const y = yOf(after * map.unit, height);
      g.fillRect(x, y, wide, yOf(row * map.unit, height) - y + 0.5);
    }
    row = after;
  }
}
function drawMarks(g, width, height) {
  if (by("show-frees").checked) {
    g.fillStyle = colours.dot;
    for (const [column, row, times] of map.frees) {
      const t = (column + 0.5) * map.width;
      const r = Math.min(3.5, 1 + Math.log10(times + 1));
      g.beginPath();
      g.arc(xOf(t, width), yOf((row + 0.5) * map.unit, height), r, 0, 7);
      g.fill();
    }
  }
  if (by("show-growths").checked) {
    for (const [t, , after, ok] of map.growths) {
      const y = yOf(Math.min(after, shownBytes), height);
      mark(g, xOf(t, width), y, ok ? colours.growth : colours.bad, ok);
    }
  }
  if (by("show-misses").checked) {
    g.fillStyle = colours.miss;
    for (const [t, address] of map.misses) {
      const x = xOf(t, width);
      const y = yOf(Math.min(address, shownBytes), height);
      g.beginPath();
      g.moveTo(x, y - 5); g.lineTo(x + 5, y); g.lineTo(x, y + 5); g.lineTo(x - 5, y);
      g.closePath();
      rim(g);
      g.fill();
    }
  }
}
function mark(g, x, y, colour, ok) {
  // A rim in the paper's colour, so that a mark is seen on any ground.
  g.fillStyle = colour;
  g.lineJoin = "round";
  g.beginPath();
  if (ok) {
    g.moveTo(x, y - 4); g.lineTo(x + 4, y + 4); g.lineTo(x - 4, y + 4);
    g.closePath();
    rim(g);
    g.fill();
  } else {
    g.moveTo(x - 5, y + 3); g.lineTo(x + 5, y + 13); g.moveTo(x + 5, y + 3); g.lineTo(x - 5, y + 13);
    rim(g, 6);
    g.strokeStyle = colour;
    g.lineWidth = 3;
    g.stroke();
    g.lineWidth = 1;
  }
}
function rim(g, wide = 2) {
  g.strokeStyle = colours.paper;
  g.lineWidth = wide;
  g.stroke();
  g.lineWidth = 1;
}
function addressAxis(g, height) {
  g.fillStyle = colours.faint;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (let i = 0; i <= 4; i += 1) {
    const address = (shownBytes * i) / 4;
    g.fillText(bytes(address), LEFT - 6, Math.min(yOf(address, height), height - BOTTOM - 4));
  }
  g.textBaseline = "alphabetic";
}
function drawStrip() {
  const [g, width, height] = canvas("strip-canvas");
  if (!columns.length) return;
  const column = columnAt(view.at);
  drawColumn(g, column, 0, width - 1, height);
  g.strokeStyle = colours.line;
  g.strokeRect(0.5, TOP, width - 1, height - BOTTOM - TOP);
  g.fillStyle = colours.ink;
  const y = yOf(column[1], height);
  g.fillRect(0, y - 1, width, 2);
  const below = y > 30 ? y - 18 : y + 3;
  g.fillStyle = colours.paper;
  g.fillRect(width - 40, below, 38, 15);
  g.fillStyle = colours.ink;
  g.textAlign = "center";
  g.fillText("break", width - 21, below + 11);
}

// The lanes.

const lanes = data.lanes;
const LANE = 26;
function drawLanes() {
  const element = by("lanes-canvas");
  element.style.height = `${Math.max(1, lanes.ms.length) * LANE + TOP + BOTTOM}px`;
  const [g, width, height] = canvas(element);
  const index = new Map(lanes.ms.map((one, i) => [one.m, i]));
  g.textBaseline = "middle";
  lanes.ms.forEach((one, i) => {
    const top = TOP + i * LANE;
    g.fillStyle = colours.ink;
    g.textAlign = "right";
    g.fillText(one.name, LEFT - 8, top + LANE / 2);
    g.fillStyle = colours.panel;
    g.fillRect(LEFT, top + 2, width - LEFT - RIGHT, LANE - 4);
    within(g, width, height, () => drawLane(g, one, top, width));
  });
  if (by("show-handoffs").checked) within(g, width, height, () => drawArrows(g, index, width));
  within(g, width, height, () => veil(g, width, height));
  if (!lanes.ms.length) {
    g.fillStyle = colours.faint;
    g.textAlign = "left";
    g.fillText("no lock was given back in this log", LEFT, TOP + LANE / 2);
  }
  timeAxis(g, width, height);
  cursorLine(g, width, height);
}
function drawLane(g, one, top, width) {
  const first = Math.max(0, Math.floor(view.from / lanes.width));
  const last = Math.min(one.wait.length - 1, Math.floor(view.to / lanes.width));
  const most = lanes.levels - 1;
  const room = LANE - 4;
  for (let c = first; c <= last; c += 1) {
    let hold = level(one.hold, c) / most;
    let wait = level(one.wait, c) / most;
    if (!hold && !wait) continue;
    const scale = Math.max(1, hold + wait); // an M may wait for one lock while it holds another
    hold /= scale;
    wait /= scale;
    const t = c * lanes.width;
    const x = Math.round(xOf(t, width));
    const wide = Math.max(1, Math.round(xOf(t + lanes.width, width)) - x);
    const held = hold && Math.max(2, hold * room);
    const waited = wait && Math.max(2, wait * room);
    g.fillStyle = colours.hold;
    g.fillRect(x, top + 2 + room - held, wide, held);
    g.fillStyle = colours.wait;
    g.fillRect(x, top + 2 + Math.max(0, room - held - waited), wide, Math.min(waited, room - held));
  }
}
function drawArrows(g, index, width) {
  // One arrow in each stretch that is wide enough to see it: the most frequent handoff there.
  const room = 14;
  const best = new Map();
  for (const one of lanes.handoffs) {
    const x = xOf((one[0] + 0.5) * lanes.width, width);
    if (x < LEFT || x > width - RIGHT || !index.has(one[1]) || !index.has(one[2])) continue;
    const place = Math.floor(x / room);
    if (!best.has(place) || best.get(place)[1][3] < one[3]) best.set(place, [x, one]);
  }
  g.strokeStyle = g.fillStyle = colours.ink;
  g.globalAlpha = 0.75;
  for (const [x, [, from, to, times]] of best.values()) {
    const y0 = TOP + index.get(from) * LANE + LANE / 2;
    const y1 = TOP + index.get(to) * LANE + LANE / 2;
    const way = Math.sign(y1 - y0);
    g.lineWidth = Math.min(3, 0.8 + Math.log10(times));
    g.beginPath();
    g.moveTo(x - 3, y0);
    g.lineTo(x, y1 - way * 5);
    g.stroke();
    g.beginPath();
    g.moveTo(x, y1); g.lineTo(x - 3, y1 - way * 6); g.lineTo(x + 3, y1 - way * 6);
    g.fill();
  }
  g.lineWidth = 1;
  g.globalAlpha = 1;
}

// Charts of figures over time.

// Rows are [time, value]: a value lasts until the next row.

const queueRows = (q) => q.waits.map((waited, i) => {
  const from = i * q.width; // the last stretch ends with the run
  return [from, waited / Math.max(1, Math.min(from + q.width, end) - from)];
}).filter((row, i, rows) => row[0] < end && (i === 0 || row[1] !== rows[i - 1][1]));
const charts = [
  { title: "Ms waiting (mean in each stretch)", text: (v) => v.toFixed(2),
    lines: data.queues.map((q) => [q.most ? `${q.name} (at most ${q.most} at once)` : q.name, queueRows(q)]) },
  { title: "Memory and break", text: bytes,
    lines: [["memory (pages)", data.memory.top], ["highest break", data.memory.bloc_max], ["break", data.memory.bloc]] },
  { title: "Live and free bytes", text: bytes,
    lines: [["live", data.memory.live], ["free list", data.memory.free]] },
  { title: "Fragmentation", text: (v) => v.toFixed(2), most: 1,
    lines: [["external", data.fragmentation.external], ["Sawicki", data.fragmentation.sawicki]] },
].filter((chart) => chart.lines.some(([, rows]) => rows.some((row) => chart.most || row[1] > 0)));

function lastBefore(rows, t) {
  let low = -1;
  let high = rows.length - 1;
  while (low < high) {
    const mid = (low + high + 1) >> 1;
    if (rows[mid][0] <= t) low = mid; else high = mid - 1;
  }
  return low < 0 ? null : rows[low][1];
}
function addCharts() {
  for (const chart of charts) {
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const legend = document.createElement("p");
    legend.className = "legend";
    chart.values = chart.lines.map(([name], i) => {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      const value = document.createElement("b");
      swatch.className = "swatch";
      swatch.dataset.color = `s${(i % 6) + 1}`;
      item.append(swatch, `${name} `, value);
      legend.append(item);
      return value;
    });
    caption.textContent = chart.title;
    chart.element = document.createElement("canvas");
    chart.element.setAttribute("role", "img");
    chart.element.setAttribute("aria-label", `${chart.title} over time`);
    figure.append(caption, legend, chart.element);
    by("charts").append(figure);
  }
}
function drawChart(chart) {
  const [g, width, height] = canvas(chart.element);
  let most = chart.most || 0;
  for (const [, rows] of chart.lines) for (const row of rows) most = Math.max(most, row[1]);
  most = most || 1;
  const y = (value) => height - BOTTOM - (value / most) * (height - BOTTOM - TOP);
  g.strokeStyle = colours.line;
  g.fillStyle = colours.faint;
  g.textAlign = "right";
  g.textBaseline = "middle";
  const ticks = 4;
  for (let i = 0; i <= ticks; i += 1) {
    const value = (most * i) / ticks;
    g.fillText(chart.text(value), LEFT - 6, y(value));
    g.beginPath(); g.moveTo(LEFT, y(value)); g.lineTo(width - RIGHT, y(value)); g.stroke();
  }
  within(g, width, height, () => {
    chart.lines.forEach(([, rows], i) => {
      g.strokeStyle = colours[`s${(i % 6) + 1}`];
      g.lineWidth = 1.8;
      g.setLineDash(i === 0 ? [] : [[6, 4], [2, 3]][(i - 1) % 2]); // lines that lie on each other
      g.beginPath();
      let before = null;
      for (const [t, value] of rows) {
        const x = xOf(t, width);
        if (before === null) g.moveTo(x, y(value)); else { g.lineTo(x, before); g.lineTo(x, y(value)); }
        before = y(value);
      }
      if (before !== null) g.lineTo(xOf(end, width), before);
      g.stroke();
    });
    g.setLineDash([]);
    g.lineWidth = 1;
  });
  timeAxis(g, width, height);
  cursorLine(g, width, height);
  chart.lines.forEach(([, rows], i) => {
    const value = lastBefore(rows, view.at);
    chart.values[i].textContent = value === null ? "-" : chart.text(value);
  });
}

// All of it.

function say() {
  const words = [`at ${ns(view.at)}`];
  if (columns.length) {
    const [, bloc, , top, arenas, others] = columnAt(view.at);
    words.push(`memory ${bytes(top)}`, `break 0x${bloc.toString(16)}`, `arenas ${bytes(arenas)}`, `metadata ${bytes(others)}`);
  }
  const c = Math.min(Math.floor(view.at / lanes.width), Math.floor((end - 1) / lanes.width));
  const names = (what) => lanes.ms.filter((one) => level(one[what], c) > 0).map((one) => one.name);
  const list = (found) => (found.length > 8 ? `${found.slice(0, 8).join(" ")} and ${found.length - 8} more` : found.join(" "));
  const holding = names("hold");
  const waiting = names("wait");
  if (holding.length) words.push(`holding ${list(holding)}`);
  if (waiting.length) words.push(`waiting ${list(waiting)}`);
  by("now").textContent = words.join(" · ");
  by("cursor").setAttribute("aria-valuetext", words.slice(0, 3).join(", "));
}
let asked = false;
function draw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    moveTo(Number(by("cursor").value));
    drawMap();
    drawStrip();
    drawLanes();
    charts.forEach(drawChart);
    say();
  });
}

// Controls.

function stop() {
  clearInterval(stop.timer);
  stop.timer = 0;
  by("play").textContent = "Play";
}
function play() {
  if (stop.timer) { stop(); return; }
  const cursor = by("cursor");
  if (Number(cursor.value) >= STEPS) cursor.value = 0;
  by("play").textContent = "Pause";
  stop.timer = setInterval(() => {
    cursor.value = Number(cursor.value) + 5;
    if (Number(cursor.value) >= STEPS) stop();
    draw();
  }, 50);
  draw();
}
by("play").addEventListener("click", play);
by("rewind").addEventListener("click", () => { stop(); by("cursor").value = 0; draw(); });
by("cursor").addEventListener("input", () => { stop(); draw(); });
for (const id of ["zoom", "show-growths", "show-misses", "show-frees", "show-handoffs"]) {
  by(id).addEventListener("change", draw);
}

const preferred = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : preferred.matches);
function themeChanged() {
  by("theme").setAttribute("aria-pressed", String(isDark()));
  readColours();
  cellColour.known.clear();
  draw();
}
by("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  themeChanged();
});
preferred.addEventListener("change", themeChanged);
window.addEventListener("resize", draw);

// Tables: a click, or Enter or Space on a column's button, sorts by it, and once more turns it round.

function sortBy(head) {
  const table = head.closest("table");
  const at = [...head.parentNode.children].indexOf(head);
  const figures = head.classList.contains("figure");
  const before = head.getAttribute("aria-sort");
  const down = before ? before === "ascending" : figures;
  const value = (row) => {
    const cell = row.children[at];
    return figures ? Number(cell.dataset.key) : cell.textContent;
  };
  const order = (a, b) => (figures ? a[0] - b[0] : a[0].localeCompare(b[0], "en", { numeric: true }));
  const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
  rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
  table.tBodies[0].append(...rows.map(([, row]) => row));
  for (const other of head.parentNode.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  by("said").textContent = `sorted by ${head.textContent}, ${down ? "descending" : "ascending"}`;
}
for (const head of document.querySelectorAll("table.sortable th")) {
  head.querySelector("button").addEventListener("click", () => sortBy(head));
}

// What the words in the heads of tables mean: at a hover, by keyboard, at a tap.
const tip = by("tip");
function explain(button) {
  const text = data.terms[button.textContent];
  if (!text) return;
  tip.textContent = text;
  tip.hidden = false;
  const at = button.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${at.bottom + 6 + tip.offsetHeight < innerHeight ? at.bottom + 6 : at.top - tip.offsetHeight - 6}px`;
  button.setAttribute("aria-describedby", "tip");
}
const hush = () => { tip.hidden = true; };
for (const button of document.querySelectorAll("table.sortable th button")) {
  if (!data.terms[button.textContent]) continue;
  button.classList.add("known");
  for (const name of ["mouseenter", "focus", "click"]) button.addEventListener(name, () => explain(button));
  for (const name of ["mouseleave", "blur"]) button.addEventListener(name, hush);
}
addEventListener("keydown", (event) => { if (event.key === "Escape") hush(); });

addCharts();
themeChanged();
