// Elements, numbers in words, definitions at a hover, tables that sort and copy.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const count = (value) => Number(value).toLocaleString("en-US");

export function ns(value) {
  const size = Math.abs(value);
  if (size < 1e3) return `${Math.round(value)} ns`;
  if (size < 1e6) return `${short(value / 1e3)} us`;
  if (size < 1e9) return `${short(value / 1e6)} ms`;
  return `${short(value / 1e9)} s`;
}

export function bytes(value) {
  const size = Math.abs(value);
  if (size < 1024) return `${count(value)} B`;
  if (size < 1 << 20) return `${short(value / 1024)} KiB`;
  if (size < 1 << 30) return `${short(value / (1 << 20))} MiB`;
  return `${short(value / 2 ** 30)} GiB`;
}

const short = (value) => value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
export const hex = (value) => `0x${Number(value).toString(16)}`;
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

// Definitions.

let terms = {};
export function setTerms(all) { terms = all; }

const tip = document.getElementById("tip");
let shown = null;

function show(element) {
  const text = terms[element.dataset.term];
  if (!text) return;
  tip.textContent = text;
  tip.hidden = false;
  element.setAttribute("aria-describedby", "tip");
  const at = element.getBoundingClientRect();
  const size = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8));
  const below = at.bottom + 6 + size.height < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - size.height - 6)}px`;
  shown = element;
}

function hide() {
  if (shown) shown.removeAttribute("aria-describedby");
  tip.hidden = true;
  shown = null;
}

export function term(word, text = word) {
  return h("button", {
    type: "button", class: "term", "data-term": word,
    onmouseenter: (event) => show(event.currentTarget), onmouseleave: hide,
    onfocus: (event) => show(event.currentTarget), onblur: hide,
    onclick: (event) => (shown === event.currentTarget && event.detail === 0 ? hide() : show(event.currentTarget)),
  }, text);
}

// The longest word in a text that has a definition, as a term; the rest as it is.
export function named(text) {
  if (terms[text]) return [term(text)];
  const plain = text.toLowerCase();
  if (terms[plain]) return [term(plain, text)];
  let best = "", at = -1, size = 0;
  for (const word of Object.keys(terms)) {
    if (word.length < Math.max(4, best.length + 1)) continue;
    const [found, long] = whole(plain, word.toLowerCase());
    if (found >= 0) { best = word; at = found; size = long; }
  }
  if (at < 0) return [text];
  return [text.slice(0, at), term(best, text.slice(at, at + size)), text.slice(at + size)];
}

// Where a word, or its plural, stands by itself, and how long it is.
function whole(text, word) {
  const letter = (at) => at >= 0 && at < text.length && /[a-z0-9_]/.test(text[at]);
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (letter(at - 1)) continue;
    for (const end of ["", "s", "es"]) if (text.startsWith(end, at + word.length) && !letter(at + word.length + end.length)) return [at, word.length + end.length];
  }
  return [-1, 0];
}

addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
// What is focused by keyboard may be scrolled to: its definition goes along.
addEventListener("scroll", () => { if (shown?.matches(":focus-visible")) show(shown); else if (shown) hide(); }, { passive: true, capture: true });

// What went wrong.

export function complain(error) {
  const toast = h("div", { class: "toast" }, error.message || String(error), error.hint ? h("small", {}, error.hint) : null);
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), 9000);
}

export function guarded(work) {
  return async (...given) => {
    try { return await work(...given); } catch (error) { if (error.name !== "AbortError") complain(error); }
  };
}

// Tables.

const LONG = 44; // characters of a cell from which on it is folded

const plain = (value) => { const [text] = Array.isArray(value) ? value : [value]; return text instanceof Node ? text.textContent : text; };

// A table that scrolls sideways where it is too wide, with a sign that it does.
export function scrolling(label, inside, more = "") {
  const region = h("div", { class: `scroll ${more}`, tabindex: "0", role: "region", "aria-label": label }, inside), sign = h("p", { class: "scroll-sign" }, "scrolls sideways →");
  const look = () => region.classList.toggle("more", region.scrollWidth - region.clientWidth - region.scrollLeft > 4);
  region.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(region);
  return { region, sign };
}

// rows: of texts, or of [text, value to sort by].
export function table(caption, columns, rows, { left_out = 0, empty = "none" } = {}) {
  const figures = columns.map((_, i) => rows.length > 0 && rows.every((row) => Array.isArray(row[i]) && typeof row[i][1] === "number"));
  let order = { column: -1, up: true };
  const body = h("tbody");
  const cell = (value, i) => {
    const [text] = Array.isArray(value) ? value : [value];
    return h("td", { class: figures[i] ? "n" : typeof text === "string" && text.length > LONG ? "long" : "" }, text);
  };
  const key = (value) => (Array.isArray(value) ? value[1] : value);
  let sorted = rows;
  const draw = () => {
    sorted = order.column < 0 ? rows : [...rows].sort((a, b) => {
      const x = key(a[order.column]), y = key(b[order.column]);
      const less = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
      return order.up ? less : -less;
    });
    fill(body, sorted.length ? sorted.map((row) => h("tr", {}, row.map(cell))) : h("tr", {}, h("td", { colspan: String(columns.length), class: "note" }, empty)));
  };
  const known = (name) => (terms[name] ? { class: "known", "data-term": name, onmouseenter: (event) => show(event.currentTarget), onmouseleave: hide, onfocus: (event) => show(event.currentTarget), onblur: hide } : {});
  const heads = columns.map((name, i) => h("th", { scope: "col", class: figures[i] ? "n" : "" }, h("button", {
    type: "button", ...known(name),
    onclick: () => {
      order = { column: i, up: order.column === i ? !order.up : !figures[i] };
      heads.forEach((head, j) => (j === i ? head.setAttribute("aria-sort", order.up ? "ascending" : "descending") : head.removeAttribute("aria-sort")));
      draw();
    },
  }, name)));
  draw();
  const text = () => [columns, ...sorted.map((row) => row.map(plain))].map((row) => row.join("\t")).join("\n");
  const { region, sign } = scrolling(caption, h("table", {}, h("caption", { class: "visually-hidden" }, caption), h("thead", {}, h("tr", {}, heads)), body));
  const hidden = left_out ? h("p", { class: "note" }, `and ${count(left_out)} more`) : null;
  const button = h("button", { type: "button", class: "quiet small", "aria-label": `copy the table: ${caption}`, onclick: (event) => copy(text(), event.currentTarget) }, "Copy");
  return h("div", { class: "table" }, h("div", { class: "head" }, h("p", {}, named(caption)), button), region, sign, hidden);
}

export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const before = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = before; }, 1200);
}

export function field(label, control, help = "") {
  const id = `f${(field.last = (field.last || 0) + 1)}`;
  control.id = id;
  const small = help ? h("small", { id: `${id}-help` }, help) : null;
  if (help) control.setAttribute("aria-describedby", `${id}-help`);
  return h("div", { class: "field" }, h("label", { for: id }, label), control, small);
}

export function select(values, chosen, onchange = null) {
  return h("select", { onchange }, values.map((value) => {
    const [key, text] = Array.isArray(value) ? value : [value, value];
    return h("option", { value: String(key), selected: String(key) === String(chosen) }, text);
  }));
}

export function words(fields) {
  return Object.entries(fields).map(([name, value]) => `${name}=${typeof value === "object" ? JSON.stringify(value) : value}`).join(" ");
}

export const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
