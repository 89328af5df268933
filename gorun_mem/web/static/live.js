// The living World: who holds and waits for what, now; its memory; its log; Ms to drive by hand.

import { get, listen, post, remove } from "./api.js";
import { Convoys } from "./convoys.js";
import { bytes, count, field, fill, guarded, h, hex, ns, plural, select, term, words } from "./dom.js";
import { scenarioForm } from "./form.js";
import { Lanes } from "./lanes.js";
import { drawMap, mapInWords, mapLegend } from "./map.js";

const KEPT = 2500, SHOWN = 320, LINES = 400;
const OPS = ["alloc 65536", "reserve 0 4194304", "reserve_aligned 4194304 4194304", "sleep 100000", "info", "state", "try_lock memlock"];

class History {
  constructor() { this.intervals = []; this.gap = false; this.convoys = new Convoys(); }

  take(burst) {
    if (burst.gap) this.gap = true;
    this.convoys.take(burst);
    for (const [kind, t, m, lock, spent] of burst.events) {
      if (kind === 1 && spent > 0) this.intervals.push([t - spent, t, m, 0, lock]);
      else if (kind === 2) this.intervals.push([t - spent, t, m, 1, lock]);
    }
    if (this.intervals.length > KEPT) this.intervals.splice(0, this.intervals.length - KEPT);
  }

  // The latest intervals and those that have not ended, as columns for the lanes.
  columns(sample, ms) {
    const rows = new Map(ms.map((m, i) => [m.m, i])), locks = sample.locks.map((lock) => lock.name);
    const now = sample.time_ns, all = this.intervals.slice(-SHOWN);
    const open = [];
    for (const lock of sample.locks) if (lock.holder) open.push([lock.since_ns, 1, lock.holder, lock.name]);
    for (const m of sample.ms) if (m.waits) open.push([m.since_ns, 0, m.m, m.waits]);
    let first = all.length ? Math.min(...all.map((one) => one[0])) : now;
    if (open.length) first = Math.min(first, ...open.map((one) => Math.max(one[0], now - 400000)));
    const right = now + Math.max(200, (now - first) * (open.length ? 0.12 : 0.01));
    for (const [since, kind, m, lock] of open) all.push([Math.max(since, first), right, m, kind, lock]);
    const kept = all.filter((one) => rows.has(one[2])), n = kept.length;
    const columns = { begin: new Float64Array(n), end: new Float64Array(n), lane: new Uint16Array(n), kind: new Uint8Array(n), lock: new Uint8Array(n) };
    kept.forEach(([begin, end, m, kind, lock], i) => {
      columns.begin[i] = begin; columns.end[i] = end; columns.lane[i] = rows.get(m); columns.kind[i] = kind; columns.lock[i] = Math.max(0, locks.indexOf(lock));
    });
    return { columns, locks, first, right, now };
  }
}

export async function live({ main, library, signal, say }) {
  const world = await get("/api/world", signal);
  const mine = new Map();
  const history = new History();
  let sample = null, frozen = false;

  const figures = figureList(), locks = lockPanel(history), pace = pacePanel(), guests = guestPanel(library, signal);
  const canvas = h("canvas", {}), hover = h("p", { class: "note", "aria-live": "off" }, " ");
  const lanes = new Lanes(canvas, { onhover: (text) => { hover.textContent = text || " "; }, label: "Ms of the service over virtual time" });
  const sampled = h("span", { class: "note" });
  const hands = h("div", { class: "cards" });
  const map = h("canvas", { role: "img" }), mapText = h("p", { class: "note" });
  const workers = h("p", { class: "row" });

  const startMine = guarded(async () => { await post("/api/ms", { name: "by hand" }); await listMine(); });
  const startBusy = guarded(async () => { await post("/api/ms", { name: "busy", count: 4, work: { size: 65536, per_s: 40 } }); });
  const stopBusy = guarded(async () => { for (const m of (await get("/api/ms")).ms) if (m.work) await remove(`/api/ms/${m.m}`); });
  const freeze = h("button", { type: "button", "aria-pressed": "false", onclick: () => { frozen = !frozen; freeze.setAttribute("aria-pressed", String(frozen)); freeze.textContent = frozen ? "Follow" : "Hold the view"; } }, "Hold the view");

  fill(main, h("h1", { class: "visually-hidden" }, "The living World"), h("div", { class: "live" },
    h("section", { class: "panel wide", "aria-label": "Figures" }, h("dl", { class: "figures" }, figures.elements)),
    h("section", { class: "stack tall-left" },
      h("div", { class: "panel" },
        h("div", { class: "head" }, h("h2", {}, "Who holds, who waits"), sampled, freeze),
        h("div", { class: "lanes-box", tabindex: "0", role: "region", "aria-label": "lanes of all Ms" }, canvas), hover,
        h("p", { class: "legend" }, h("span", {}, h("i", { class: "k-hold" }), term("hold", "holds a lock")), h("span", {}, h("i", { class: "k-wait" }), term("wait", "waits for it")), h("span", {}, "across: ", term("virtual time")))),
      h("div", { class: "panel" }, h("div", { class: "head" }, h("h2", {}, "Your Ms"), h("button", { type: "button", class: "main", onclick: startMine }, "Start an M"), h("button", { type: "button", onclick: startBusy }, "Start 4 busy Ms"), h("button", { type: "button", onclick: stopBusy }, "End the busy ones")), hands, workers),
      h("div", { class: "panel" }, h("h2", {}, "The linear memory"), map, mapText, mapLegend())),
    h("section", { class: "stack" }, guests.element, pace.element, h("div", { class: "panel" }, h("h2", {}, "Locks"), locks.element)), h("section", { class: "stack" }, tailPanel(signal))));

  async function listMine() {
    const { ms } = await get("/api/ms", signal);
    const byHand = ms.filter((m) => !m.work);
    for (const m of byHand) {
      if (!mine.has(m.m)) { mine.set(m.m, handCard(m, () => listMine())); hands.append(mine.get(m.m).element); }
      mine.get(m.m).update(m);
    }
    for (const [m, card] of mine) if (!byHand.some((one) => one.m === m)) { card.element.remove(); mine.delete(m); }
    if (!mine.size && !hands.querySelector(".empty")) fill(hands, h("p", { class: "empty" }, "None yet. Start one, take memlock with it, and see who waits."));
    else if (mine.size) hands.querySelector(".empty")?.remove();
    const busy = ms.filter((m) => m.work).length;
    fill(workers, busy ? h("span", { class: "note" }, `${plural(busy, "busy M")} allocate and free blocks by themselves.`) : null);
  }
  await Promise.all([listMine(), guests.look()]);

  let listed = 0;
  const draw = () => {
    if (!sample) return;
    figures.update(sample, world);
    const ms = sample.ms.slice().sort((a, b) => a.m - b.m);
    if (!frozen) {
      const { columns, locks: names, first, right, now } = history.columns(sample, ms);
      lanes.set(columns, ms, names, { first, last: right, now });
    }
    locks.update(sample);
    pace.update(sample);
    drawMap(map, sample.map);
    mapText.textContent = mapInWords(sample.map) + (sample.map.left_out ? `; ${count(sample.map.left_out)} ranges are not drawn` : "");
    map.setAttribute("aria-label", mapText.textContent);
    const of = new Map(sample.ms.map((m) => [m.m, m]));
    for (const [m, card] of mine) card.now(of.get(m));
    if (sampled.dataset.gap !== String(history.gap)) { sampled.dataset.gap = String(history.gap); fill(sampled, history.gap ? term("sampled") : "every event"); }
  };
  addEventListener("themed", draw, { signal });
  signal.addEventListener("abort", () => main.classList.remove("stale"));
  addEventListener("resize", draw, { signal });

  let missed = 0;
  listen("/api/live", {
    open: () => { main.classList.remove("stale"); say(`${world.release} ${world.platform}, ${world.mutex} mutex`); },
    broken: (error) => { main.classList.add("stale"); say(`${error.message}: these are its last figures; started again, it is shown again`, true); },
    missed: (all) => { missed += all.reduce((sum, one) => sum + one.missed, 0); say(`${count(missed)} samples missed: this browser is slow`, true); },
    live: (all) => {
      history.gap = false;
      for (const one of all) history.take(one.burst);
      sample = all[all.length - 1];
      if (sample.ended) say(`the service has ended: ${sample.ended}`, true);
      draw();
      if (performance.now() - listed > 700) { listed = performance.now(); listMine().catch(() => {}); guests.look().catch(() => {}); }
    },
  }, signal);
}

// Made once and then only changed, so that who hovers or has the focus there keeps it.
function figureList() {
  const make = (name) => { const value = h("span"), small = h("small"); return { value, small, element: h("div", {}, h("dt", {}, name), h("dd", {}, value, " ", small)) }; };
  const all = { calls: make("calls a second"), ms: make(term("M", "Ms")), time: make(term("virtual time")), pages: make(term("page", "pages")), bloc: make(term("break")), live: make("handed out"), free: make(term("free list")), grows: make(term("growth", "growths")), misses: make(term("hint miss", "hint misses")), viewers: make("looking on") };
  const set = (name, value, small = "") => { write(all[name].value, value); write(all[name].small, small); };
  return {
    elements: Object.values(all).map((one) => one.element),
    update(sample, world) {
      set("calls", sample.calls_per_s === null ? "–" : count(Math.round(sample.calls_per_s)));
      set("ms", count(sample.ms_in_all));
      set("time", ns(sample.time_ns));
      set("pages", count(sample.pages), `of ${count(world.config.max_pages)}`);
      set("bloc", hex(sample.bloc));
      set("live", sample.live_bytes === null ? "–" : bytes(sample.live_bytes));
      set("free", bytes(sample.free_bytes), plural(sample.free_blocks, "block"));
      set("grows", count(sample.grows), sample.fails ? `${count(sample.fails)} refused` : "");
      set("misses", count(sample.hint_misses));
      set("viewers", count(sample.viewers));
    },
  };
}

const write = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// Scenarios that run in this World, with the Ms of everybody.
function guestPanel(library, signal) {
  const list = h("div", { class: "stack guests" });
  let told = "";
  const look = async () => {
    const runs = (await get("/api/runs", signal)).runs.filter((run) => run.where === "service");
    const now = JSON.stringify(runs.map((run) => [run.id, run.state, run.said]));
    if (now === told) return;
    told = now;
    fill(list, runs.slice(0, 6).map((run) => h("div", { class: "row guest", "data-run": String(run.id) }, h("b", {}, `${run.id}. ${run.title}`),
      run.state === "running" ? [h("span", { class: "chip holds" }, "running"), h("button", { type: "button", "aria-label": `stop ${run.title}`, onclick: guarded(async () => { await remove(`/api/runs/${run.id}`); await look(); }) }, "Stop it")]
        : [h("span", { class: `chip ${run.summary?.outcome === "failed" ? "waits" : ""}` }, run.summary?.outcome || run.state), h("a", { class: "button", href: `#runs/${run.id}` }, "Its report")], run.said ? h("p", { class: "note" }, run.said) : null)));
  };
  const form = scenarioForm(library, { inside: true, start: async (wanted) => { await post("/api/runs", wanted); await look(); } });
  return { look, element: h("div", { class: "panel stack" }, h("h2", {}, "A scenario in this World"), h("p", { class: "note" }, "Its Ms contend with everybody’s. What throws or deadlocks on a runtime lock ends the World."), form, list) };
}

function lockCard(name, mutex, history) {
  const holder = h("span", { class: "chip" }, "free"), queue = h("div", { class: "queue", role: "group", "aria-label": `queue of ${name}` });
  const times = Object.fromEntries(["p50", "p90", "p99", "max"].map((one) => [one, h("dd")])), recent = h("span"), all = h("span"), convoy = h("p", { class: "convoy", hidden: true }, h("span", { class: "chip waits" }, term("convoy")), " ", h("span"));
  let queued = "";
  const element = h("div", { class: "card", "data-lock": name }, h("div", { class: "head" }, h("h3", {}, name, " ", h("span", { class: "note" }, mutex)), holder), queue, convoy,
    h("dl", { class: "figures" }, Object.entries(times).map(([one, value]) => h("div", {}, h("dt", {}, term(one, one === "max" ? "longest" : one)), value))),
    h("p", { class: "note" }, recent, all, term("contended"), "."));
  return {
    element,
    update(lock) {
      const found = history.convoys.of(name);
      convoy.hidden = !found;
      if (found) write(convoy.lastElementChild, `${plural(found.ms, "M")} in a row behind ${name}, ${plural(found.holds, "hold")} so far, for ${ns(found.ns)}`);
      write(holder, lock.holder ? `M${lock.holder} holds it` : "free");
      holder.className = lock.holder ? "chip holds" : "chip";
      holder.title = lock.site;
      const told = JSON.stringify(lock.waiters);
      if (told !== queued || !queue.childElementCount) {
        queued = told;
        fill(queue, h("span", { class: "note" }, lock.waiters.length ? "waiting:" : "nobody waits"),
          lock.waiters.slice(0, 24).map(([m, since, spins, sleeps]) => h("span", { class: "chip waits", title: `since ${ns(since)}; ${spins} spins, ${sleeps} sleeps` }, `M${m}`)),
          lock.waiters.length > 24 ? h("span", { class: "note" }, `and ${count(lock.waiters.length - 24)} more`) : null);
      }
      for (const [one, value] of Object.entries(times)) write(value, lock.recent.contended ? ns(lock.recent[one]) : "–");
      write(recent, `Waits of the last 5 s: ${plural(lock.recent.contended, "wait")}. `);
      write(all, `In all ${count(lock.contended)} of ${count(lock.acquisitions)} acquisitions `);
    },
  };
}

function lockPanel(history) {
  const cards = new Map(), empty = h("p", { class: "empty" }, "No lock has been taken yet."), element = h("div", { class: "stack" }, empty);
  return {
    element,
    update(sample) {
      for (const lock of sample.locks) {
        if (!cards.has(lock.name) && (lock.acquisitions || lock.holder || lock.waiters.length)) {
          empty.remove();
          cards.set(lock.name, lockCard(lock.name, lock.mutex, history));
          element.append(cards.get(lock.name).element);
        }
        cards.get(lock.name)?.update(lock);
      }
    },
  };
}

function handCard(m, changed) {
  const id = m.m, path = `/api/ms/${id}`;
  const state = h("span", {}), answers = h("div", { class: "answers", role: "log", "aria-label": `answers of M${id}`, tabindex: "0" });
  const call = guarded(async (op) => { try { await post(`${path}/call`, { op }); } finally { await changed(); } });
  const input = h("input", { class: "grow mono", list: "ops", value: "alloc 65536", "aria-label": `operation of M${id}`, autocomplete: "off", spellcheck: "false" });
  if (!document.getElementById("ops")) document.body.append(h("datalist", { id: "ops" }, OPS.map((op) => h("option", { value: op }))));
  const lock = h("input", { value: "memlock", size: "10", "aria-label": `lock that M${id} takes`, class: "mono" });
  const buttons = [
    h("button", { type: "button", onclick: () => call(`lock ${lock.value}`) }, "Take it"),
    h("button", { type: "button", onclick: () => call(`unlock ${lock.value}`) }, "Give it back"),
  ];
  const element = h("article", { class: "card", "aria-label": `M${id}` },
    h("div", { class: "head" }, h("h3", {}, `M${id} `, h("span", { class: "note" }, m.name)), state, h("button", { type: "button", class: "quiet", "aria-label": `end M${id}`, onclick: guarded(async () => { await remove(path); await changed(); }) }, "End")),
    h("div", { class: "row" }, h("label", {}, "lock"), lock, buttons),
    h("form", { class: "row", onsubmit: (event) => { event.preventDefault(); call(input.value); } }, input, h("button", {}, "Do it")),
    answers);
  let told = "";
  return {
    element,
    update(facts) {
      const text = JSON.stringify([facts.answers, facts.asking]);
      if (text === told) return;
      told = text;
      fill(answers, facts.answers.slice(-8).map(([op, result]) => h("p", {}, h("b", {}, `${op} → `), result)), facts.asking ? h("p", {}, h("b", {}, `${facts.asking} → `), "…") : null);
      answers.scrollTop = answers.scrollHeight;
    },
    now(facts) {
      const waits = facts?.waits, holds = facts?.holds?.length ? facts.holds.join(", ") : "";
      const text = waits ? `waits for ${waits}` : holds ? `holds ${holds}` : facts?.asking ? facts.asking : "idle";
      if (state.textContent !== text) fill(state, h("span", { class: `chip ${waits ? "waits" : holds ? "holds" : ""}` }, text));
    },
  };
}

function pacePanel() {
  const speeds = [["", "as fast as it can"], ["1e8", "100 ms a second"], ["1e6", "1 ms a second"], ["1e5", "100 us a second"], ["1e4", "10 us a second"], ["1e3", "1 us a second"]];
  let paused = false;
  let asked = 0;
  const set = guarded(async () => { asked = performance.now(); await post("/api/world/pace", { paused, ns_per_s: speed.value ? Number(speed.value) : null }); });
  const tell = () => { pause.setAttribute("aria-pressed", String(paused)); write(pause, paused ? "Go on" : "Pause"); };
  const speed = select(speeds, "", set);
  const pause = h("button", { type: "button", "aria-pressed": "false", onclick: () => { paused = !paused; tell(); set(); } }, "Pause");
  const element = h("div", { class: "panel" }, h("h2", {}, "Pace"), h("div", { class: "row" }, pause, h("div", { class: "grow" }, field(term("slow motion", "virtual time goes on by"), speed))));
  return {
    element,
    update(sample) { // somebody else may have changed it
      if (performance.now() - asked < 1500) return;
      paused = sample.paused;
      tell();
      const same = speeds.find(([value]) => Number(value) === (sample.ns_per_s ?? 0)) || speeds[0];
      if (document.activeElement !== speed) speed.value = same[0];
    },
  };
}

function tailPanel(signal) {
  const lines = h("div", { class: "log", role: "log", "aria-label": "the log’s tail", tabindex: "0" }, h("p", { class: "t" }, "Nothing yet at this level."));
  const level = select([["info", "info and above"], ["debug", "everything"], ["warning", "warnings"], ["error", "errors"]], "info", () => begin());
  const filter = h("input", { placeholder: "lock.*, m=3", spellcheck: "false", autocomplete: "off", onchange: () => begin() });
  const missed = h("p", { class: "note" });
  let stop = null, first = true;
  const write = (events) => {
    const rows = events.slice(-LINES).map((event) => {
      if (event.event === "watch.missed") return h("p", { class: "bad" }, `${count(event.missed)} events missed here`);
      const { event: name, level: weight, seq, t_ns: t, m, ...rest } = event;
      return h("p", { class: weight === "error" ? "bad" : "" }, h("span", { class: "t" }, `${ns(t)} M${m} `), h("span", { class: "e" }, name), ` ${words(rest)}`);
    });
    if (first) { lines.replaceChildren(); first = false; }
    const follows = lines.scrollTop + lines.clientHeight > lines.scrollHeight - 30;
    lines.append(...rows);
    while (lines.childElementCount > LINES) lines.firstElementChild.remove();
    if (follows) lines.scrollTop = lines.scrollHeight;
  };
  function begin() {
    stop?.abort();
    stop = new AbortController();
    const mine = stop;
    signal.addEventListener("abort", () => mine.abort(), { once: true });
    const query = new URLSearchParams({ level: level.value });
    if (filter.value.trim()) query.set("filter", filter.value.trim());
    missed.textContent = "";
    listen(`/api/events?${query}`, { log: write, broken: (error) => { missed.textContent = error.message; }, open: () => { missed.textContent = ""; } }, mine.signal);
  }
  begin();
  return h("div", { class: "panel" }, h("h2", {}, "The log"), h("div", { class: "two" }, field("level", level), field("events and Ms", filter)), missed, lines);
}
