// The scheduler's chair: you say who goes next, and see what everything looks like then.

import { get, post } from "./api.js";
import { bytes, color, copy, count, field, fill, guarded, h, hex, ns, plural, scrolling, select, term } from "./dom.js";
import { drawMap, mapInWords, mapLegend } from "./map.js";

const BUFFERS = 65536; // from this id on, what an M has stored reaches memory
const who = (id) => (id < BUFFERS ? `M${id}` : `M${id - BUFFERS}'s buffer`);

export async function chair({ main, rest, library, signal }) {
  const lessons = library.lessons, by = new Map(lessons.map((one) => [one.name, one]));
  const state = { program: { scenario: "lessons/unlock_skips_wake", options: {}, fixed: false }, choices: [], view: null, beside: null, nearest: null, tried: 0 };
  const token = rest[0] === "token" ? rest[1] : null;
  if (rest[0] && rest[0] !== "token") state.program.scenario = rest.join("/");

  const list = h("div", { class: "lesson-list", role: "group", "aria-label": "lessons" }), goal = h("div", { class: "panel stack" });
  const verdict = h("div", { class: "verdict", role: "status" }), ms = h("div", { class: "cards" }), steps = h("ol", { class: "steps" });
  const what = h("div", { class: "stack" }), controls = h("div", { class: "panel stack" }), nearest = h("div", {});
  fill(main, h("h1", { class: "visually-hidden" }, "The scheduler’s chair"), h("div", { class: "side" },
    h("div", { class: "stack" }, h("details", { class: "panel", open: matchMedia("(min-width: 64rem)").matches }, h("summary", {}, h("h2", {}, "Lessons")), list), scenarioPanel()),
    h("div", { class: "stack" }, goal, verdict, nearest,
      h("div", { class: "live" }, h("section", { class: "stack" }, h("div", { class: "panel" }, h("h2", {}, "Who goes next?"), ms)),
        h("section", { class: "stack tall-right" }, controls, h("div", { class: "panel" }, h("div", { class: "head" }, h("h2", {}, "Steps so far"), h("span", { class: "note" }, "choose one to look there")), steps)), what))));

  function scenarioPanel() {
    const name = select(library.scenarios.map((one) => one.name), "memlock_storm"), count = h("input", { type: "number", min: "1", max: "64", value: "2" });
    return h("form", { class: "panel stack", onsubmit: (event) => { event.preventDefault(); open({ scenario: name.value, options: {}, fixed: false, settings: { ms: Number(count.value) } }); } },
      h("h2", {}, "Or a scenario"), field("scenario", name), field("Ms", count), h("button", {}, "Sit down"));
  }

  const ask = (more = {}) => post("/api/schedules", { ...state.program, choices: state.choices, ...more });
  const take = (view) => { state.view = view; state.choices = (view.whole || view).choices; draw(); };
  const go = guarded(async (choice) => { state.choices = [...state.view.choices, choice]; take(await ask()); focusNext(); });
  const undo = guarded(async () => { state.choices = state.view.choices.slice(0, -1); take(await ask()); focusNext(); });
  const jump = guarded(async (step) => { take(await ask({ step })); });
  const play = guarded(async (strategy, seed, number) => { state.choices = state.view.choices; take(await ask({ then: { strategy, seed, steps: number } })); });
  const find = guarded(async (strategy) => {
    fill(verdict, h("p", {}, "Searching"));
    const view = await ask({ find: { strategy } });
    state.beside = view.found;
    state.nearest = view.found.nearest && { failing: view, passing: view.found.nearest };
    state.choices = view.choices;
    take(await atWhatMatters(view));
  });
  // A failing schedule opens at the step that matters: before it is made.
  const atWhatMatters = async (view) => view.ended?.opens_at ? ask({ step: view.ended.opens_at - 1 }) : view;
  const lookBeside = guarded(async () => {
    const view = await ask({ beside: true });
    state.nearest = view.nearest ? { failing: view, passing: view.nearest } : { none: true };
    take(view);
  });
  const open = guarded(async (program) => {
    state.program = program;
    state.choices = [];
    state.beside = state.nearest = null;
    if (token) history.replaceState(null, "", "#chair");
    take(await ask());
  });
  const focusNext = () => ms.querySelector("button.go:not(:disabled)")?.focus({ preventScroll: true });

  // What is drawn.

  function draw() {
    drawLessons();
    drawVerdict();
    drawMs();
    drawControls();
    drawSteps();
    drawWorld();
  }

  function drawLessons() {
    const { scenario, fixed } = state.program;
    fill(list, lessons.map((one) => h("button", { type: "button", "aria-current": String(one.name === scenario), onclick: () => open({ scenario: one.name, options: {}, fixed: false }) }, `${one.number}. ${one.title}`)));
    const lesson = by.get(scenario);
    fill(goal, lesson ? [h("h1", {}, lesson.goal), h("p", { class: "note" }, `${lesson.title}; known from ${lesson.source}.`), h("details", {}, h("summary", {}, "A hint"), h("p", {}, lesson.hint)),
      h("div", { class: "row" }, h("button", { type: "button", onclick: () => find("auto") }, "Show a solution"), h("button", { type: "button", "aria-pressed": String(fixed), onclick: () => open({ ...state.program, fixed: !fixed }) }, fixed ? "This is the fixed twin" : "Try the fixed twin"))]
      : [h("h1", {}, scenario || state.title), h("p", { class: "note" }, library.scenarios.find((one) => one.name === scenario)?.summary || ""), h("div", { class: "row" }, h("button", { type: "button", onclick: () => find("auto") }, "Search for a failure"))]);
  }

  function drawVerdict() {
    const { view } = state, ended = view.ended || view.whole?.ended;
    const looking = view.whole ? `You look at step ${view.step} of ${view.whole.step}. ` : "";
    verdict.className = `verdict ${ended ? (ended.failed ? "bad" : "good") : ""}`;
    if (!ended) fill(verdict, h("p", {}, looking, view.step ? `${plural(view.step, "step")} so far, and nothing wrong.` : "Nobody has made a step. Choose who goes first."));
    else fill(verdict, h("p", {}, h("strong", {}, ended.failed ? `Failed: ${ended.signature}` : "It ended well under this schedule.")), ended.failed ? ended.text.split("\n").map((line) => h("p", { class: "mono" }, line)) : null,
      ended.matters.length ? [h("p", {}, "What matters:"), h("ul", {}, ended.matters.map((one) => h("li", {}, one.step ? h("button", { type: "button", class: "text", onclick: () => jump(one.step) }, one.text) : one.text)))] : null, looking ? h("p", { class: "note" }, looking) : null);
    const found = state.beside, failed = ended?.failed;
    fill(nearest, found || state.nearest || failed ? h("div", { class: "panel stack" }, found ? h("p", {}, found.sentence) : null,
      state.nearest?.passing ? besidePanel(state.nearest) : state.nearest?.none ? h("p", {}, "No schedule near this one passes.") : failed ? h("div", {}, h("button", { type: "button", onclick: lookBeside }, "What would have passed?")) : null) : null);
  }

  function besidePanel({ failing, passing }) {
    const follow = (choices, step) => guarded(async () => { state.choices = choices; take(await ask({ step })); });
    const rows = [];
    for (let number = passing.parts_at; number < passing.parts_at + 10; number++) {
      const here = failing.steps[number - 1 - failing.first_step], there = passing.steps[number - 1];
      if (!here && !there) break;
      const cell = (step, choices, name) => h("td", {}, step ? h("button", { type: "button", class: "text", "aria-label": `${name}, step ${number}`, onclick: follow(choices, number) }, `M${step.m} ${step.kind} ${step.obj}${step.value ? ` ${step.value}` : ""}`) : "");
      rows.push(h("tr", { class: number === passing.differs_at ? "matters" : "" }, h("th", { scope: "row" }, count(number)), cell(here, failing.choices, "it fails"), cell(there, passing.choices, "it passes")));
    }
    return h("section", { class: "stack", "aria-label": "the nearest schedule that passes" }, h("h2", {}, term("nearest passing schedule", "The nearest schedule that passes")), h("p", {}, passing.sentence), passing.but ? h("p", { class: "note" }, `It ends well, but has this too: ${passing.but}`) : null,
      Object.values(scrolling("both schedules beside each other", h("table", {}, h("thead", {}, h("tr", {}, ["step", "it fails", "it passes"].map((title) => h("th", { scope: "col" }, title)))), h("tbody", {}, rows)))),
      h("div", { class: "row" }, h("button", { type: "button", onclick: follow(passing.choices, passing.differs_at) }, "See it"), h("button", { type: "button", onclick: follow(failing.choices, Math.max(0, (failing.ended?.opens_at || passing.differs_at) - 1)) }, "Back to the one that fails"), h("button", { type: "button", onclick: (event) => copy(passing.replay, event.currentTarget) }, "Copy how to replay it")));
  }

  function drawMs() {
    const { view } = state, options = view.decision?.kind === "m" && !view.ended ? view.decision.options : [];
    const values = view.decision?.kind === "value" ? view.decision.options : null;
    const cards = view.ms.filter((m) => m.m || m.enabled).map((m) => {
      const can = options.includes(m.m), place = m.at[m.at.length - 1];
      return h("article", { class: `card ${can ? "can" : ""}`, "aria-label": who(m.m) },
        h("div", { class: "head" }, h("h3", {}, `${who(m.m)} `, h("span", { class: "note" }, m.name)), chips(view, m)),
        h("button", { type: "button", class: `go ${can ? "main" : ""}`, disabled: !can, "data-m": String(m.m), onclick: () => go(m.m) }, m.kind ? `${can ? "Go: " : ""}${m.kind} ${m.obj}` : m.state),
        place ? h("div", {}, h("p", { class: "note" }, `${place.function} at ${place.file}:${place.line}`), source(place)) : null);
    });
    fill(ms, values ? h("div", { class: "card can" }, h("h3", {}, "A value is drawn"), h("div", { class: "row" }, values.slice(0, 64).map((value) => h("button", { type: "button", class: "go main", onclick: () => go(value) }, String(value))))) : null, cards);
  }

  function chips(view, m) {
    const holds = view.locks.filter((lock) => lock.holders.some((one) => one.m === m.m)).map((lock) => lock.name);
    const waits = view.edges.find((edge) => edge.m === m.m);
    return [holds.map((name) => h("span", { class: "chip holds" }, name)), waits ? h("span", { class: "chip waits" }, waits.lock) : h("span", { class: "chip" }, m.state)];
  }

  function drawControls() {
    const { view } = state, strategy = select(library.strategies.play, "random"), seed = h("input", { type: "number", min: "0", value: String(state.tried) });
    const box = h("input", { readOnly: true, value: view.whole?.token || view.token, "aria-label": "token of this schedule", onfocus: (event) => event.currentTarget.select() });
    fill(controls, h("div", { class: "row" },
      h("button", { type: "button", disabled: !view.choices.length, onclick: undo }, "Undo"), h("button", { type: "button", disabled: !view.choices.length && !view.whole, onclick: () => open(state.program) }, "Begin anew"),
      h("button", { type: "button", disabled: !view.step, "aria-label": "one step back", onclick: () => jump(view.step - 1) }, "◀ Step"), h("button", { type: "button", disabled: !view.whole, "aria-label": "one step on", onclick: () => jump(view.step + 1) }, "Step ▶"),
      view.whole ? h("button", { type: "button", onclick: () => jump(view.whole.step) }, "To the end") : null),
      h("div", { class: "two" }, field("play on under", strategy, library.strategies.about[strategy.value] || ""), field("seed", seed)),
      h("div", { class: "row" }, h("button", { type: "button", disabled: Boolean(view.ended), onclick: () => { state.tried = Number(seed.value) + 1; play(strategy.value, Number(seed.value), 100000); } }, "Play to the end"), h("button", { type: "button", disabled: Boolean(view.ended), onclick: () => play(strategy.value, Number(seed.value), 1) }, "One choice")),
      h("div", {}, h("p", { class: "note" }, term("token"), ": what you did; Copy takes the command that replays it"), h("div", { class: "copy" }, box, h("button", { type: "button", onclick: (event) => copy((view.whole || view).replay, event.currentTarget) }, "Copy"))));
  }

  function drawSteps() {
    const { view } = state, whole = view.whole || view, matters = new Set((view.ended || view.whole?.ended)?.matters.map((one) => one.step) || []);
    const all = whole.steps.map((step, i) => {
      const number = whole.first_step + i + 1, here = number === view.step;
      return h("li", { class: [number > view.step ? "later" : "", step.preempts ? "switch" : "", matters.has(number) ? "matters" : ""].join(" "), "aria-current": here ? "step" : null },
        h("button", { type: "button", title: step.preempts ? "another M could have gone on" : "", onclick: () => jump(number) }, h("span", {}, count(number)), h("b", {}, who(step.m)), h("span", {}, `${step.kind} ${step.obj}${step.value ? ` ${step.value}` : ""}${step.drawn.map((one) => ` ${one[0] || "drawn"}=${one[2]}`).join("")}`)));
    });
    fill(steps, all.length ? all : h("li", { class: "empty" }, "None yet."));
    const here = steps.querySelector("[aria-current]");
    if (here) steps.scrollTop = here.offsetTop - steps.offsetTop - steps.clientHeight / 2;
  }

  function drawWorld() {
    const { view } = state;
    fill(what,
      view.locks.length ? h("div", { class: "panel stack" }, h("h2", {}, "Locks, word by word"), view.locks.map((lock) => h("div", { class: "card" },
        h("div", { class: "head" }, h("h3", {}, lock.name, " ", h("span", { class: "note" }, lock.mutex)), h("code", {}, `word ${hex(lock.word)}`)),
        h("div", { class: "bits" }, lock.bits.map((bit) => h("span", { class: `bit ${bit.set ? "set" : ""}` }, bit.name, bit.value ? ` ${bit.value}` : "", h("span", { class: "visually-hidden" }, bit.set ? " set" : " clear")))),
        h("div", { class: "queue" }, lock.holders.length ? lock.holders.map((one) => h("span", { class: "chip holds" }, `M${one.m}`)) : h("span", { class: "chip" }, "free"), lock.waiters.map((one) => h("span", { class: "chip waits" }, `M${one.m} ${one.at}`)))))) : null,
      view.objects.length ? h("div", { class: "panel" }, h("h2", {}, "What the Ms share"), h("dl", { class: "figures" }, view.objects.map((one) => h("div", {}, h("dt", {}, `${one.name} (${one.kind})`), h("dd", {}, one.value, " ", one.holders.map((by) => h("span", { class: "chip holds" }, `M${by.m}`)), one.waiters.map((by) => h("span", { class: "chip waits" }, `M${by.m} ${by.kind}`))))))) : null,
      view.edges.length ? h("div", { class: "panel" }, h("h2", {}, term("wait-for graph", "Who waits for whom")), graph(view.edges)) : null,
      memoryPanel(view.memory));
  }

  function memoryPanel(memory) {
    if (!memory) return null;
    const canvas = h("canvas", { role: "img", "aria-label": memory.free ? mapInWords(memory) : "the memory" });
    requestAnimationFrame(() => { if (memory.free) drawMap(canvas, memory); });
    return h("div", { class: "panel" }, h("h2", {}, "Memory"), memory.wrong ? h("p", { class: "verdict bad" }, memory.wrong) : null, memory.free ? [canvas, h("p", { class: "note" }, mapInWords(memory)), mapLegend(), h("details", {}, h("summary", {}, "The free list"), h("p", { class: "mono" }, memory.free.map(([addr, size]) => `${hex(addr)} +${bytes(size)}`).join(", ") || "empty"))] : null);
  }

  addEventListener("themed", () => state.view && drawWorld(), { signal });
  if (token) {
    const view = await get(`/api/schedules/${encodeURIComponent(token)}`, signal);
    state.program = { ...view.program };
    state.title = view.title;
    state.choices = view.choices;
    state.nearest = view.nearest && { failing: view.whole ? { ...view, ...view.whole } : view, passing: view.nearest };
    take(await atWhatMatters(view.whole ? { ...view, ended: view.whole.ended } : view));
  } else take(await ask());
}

function source(place) {
  return h("pre", { class: "source" }, place.source.map((line, i) => {
    const number = place.first + i, text = [h("i", {}, `${String(number).padStart(4)} `), line || " ", "\n"];
    return number === place.line ? h("span", { class: "now" }, text.slice(0, 2)) : text;
  }));
}

function graph(edges) {
  const SVG = "http://www.w3.org/2000/svg", make = (tag, attributes, text) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text) element.textContent = text;
    return element;
  };
  const ms = [...new Set(edges.flatMap((edge) => [edge.m, edge.holder]))].sort((a, b) => a - b);
  const next = new Map(edges.map((edge) => [edge.m, edge.holder]));
  const circle = new Set();
  for (const m of ms) { const way = []; let at = m; while (next.has(at) && !way.includes(at)) { way.push(at); at = next.get(at); } if (way.includes(at)) way.slice(way.indexOf(at)).forEach((one) => circle.add(one)); }
  const radius = Math.min(90, 30 + ms.length * 14), place = (m) => { const angle = (ms.indexOf(m) / ms.length) * 2 * Math.PI - Math.PI / 2; return [200 + radius * 1.5 * Math.cos(angle), 120 + radius * Math.sin(angle)]; };
  const told = edges.map((edge) => `M${edge.m} waits for ${edge.lock}, which M${edge.holder} holds`).join("; ");
  const svg = make("svg", { viewBox: "0 0 400 240", class: "graph", role: "img", "aria-label": told });
  const defs = make("defs", {}), marker = make("marker", { id: "arrow", viewBox: "0 0 8 8", refX: "8", refY: "4", markerWidth: "7", markerHeight: "7", orient: "auto-start-reverse" });
  marker.append(make("path", { d: "M0 0 8 4 0 8z", class: "arrow" }));
  defs.append(marker);
  svg.append(defs);
  for (const edge of edges) {
    const [x, y] = place(edge.m), [u, v] = place(edge.holder), far = Math.hypot(u - x, v - y) || 1, dx = (u - x) / far, dy = (v - y) / far;
    const bend = edges.some((other) => other.m === edge.holder && other.holder === edge.m) ? 22 : 0, cx = (x + u) / 2 - dy * bend, cy = (y + v) / 2 + dx * bend;
    if (edge.m === edge.holder) svg.append(make("path", { d: `M${x - 10} ${y - 18} C ${x - 40} ${y - 60}, ${x + 40} ${y - 60}, ${x + 10} ${y - 20}`, class: "edge", "marker-end": "url(#arrow)" }));
    else svg.append(make("path", { d: `M${x + dx * 20} ${y + dy * 20} Q ${cx} ${cy} ${u - dx * 22} ${v - dy * 22}`, class: "edge", "marker-end": "url(#arrow)" }));
    svg.append(make("text", { x: cx + 4, y: cy - 4 }, edge.lock));
  }
  for (const m of ms) {
    const [x, y] = place(m);
    svg.append(make("circle", { cx: x, cy: y, r: 19, class: circle.has(m) ? "in-circle" : "" }), make("text", { x, y: y + 4.5, "text-anchor": "middle" }, `M${m}`));
  }
  return h("div", {}, svg, h("p", { class: circle.size ? "bad" : "note" }, told, circle.size ? ": a circle, so none of them ever goes on." : ""));
}
