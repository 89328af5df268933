// A failure: what matters, its lanes step by step, and the nearest schedule that passes beside it. It
// is one of `failures` in the document of `explore --json`.

import { count, h, plural, scrolling } from "./dom.js";
import { command, facts } from "./facts.js";

export function failure(one, i, all) {
  const lanes = lanesOf(one, one.steps, `steps of failure ${i + 1}`, one.opens_at, new Set(one.matters.flatMap((matter) => matter.steps)));
  const body = [
    one.text.split("\n").map((line) => h("p", { class: "mono broken" }, line)),
    facts([["found", one.found], ...Object.entries(one.settings).map(([name, value]) => [name === "ms" ? "Ms" : name.replaceAll("_", " "), String(value)])]),
    one.matters.length ? h("section", { class: "matters", "aria-label": "What matters" }, h("h3", {}, "What matters"), h("ol", {}, one.matters.map((matter) => h("li", {}, matter.steps.length ? h("button", { type: "button", class: "text", onclick: () => lanes.look(matter.steps[0]) }, matter.text) : matter.text)))) : null,
    h("div", { class: one.passing ? "beside" : "" }, h("section", { "aria-label": "It fails" }, h("h3", {}, "It fails"), lanes.element), one.passing ? passing(one, i) : null),
    one.no_passing ? h("p", { class: "note" }, one.no_passing) : null,
    block("Who waits for whom", one.waits), block("Its history", one.history), block("The free list", one.memory), block("Lines of the program", one.sources.map(([place, text]) => `${place}  ${text}`)),
    command("Replay it", one.replay_short || one.replay), command("Step through it", one.view)];
  requestAnimationFrame(() => lanes.look(one.opens_at, false));
  return h("details", { class: "panel section failure", id: `part-failure-${i + 1}`, open: i === 0 }, h("summary", {}, h("h2", {}, all > 1 ? `${i + 1}. ` : "", "Failed: ", one.signature)), h("div", { class: "stack" }, body));
}

function passing(one, i) {
  const { passing: other } = one, lanes = lanesOf(one, other.steps, `steps of the nearest schedule that passes, failure ${i + 1}`, other.parts_at, new Set());
  requestAnimationFrame(() => lanes.look(other.parts_at, false));
  return h("section", { "aria-label": "It passes" }, h("h3", {}, "The nearest schedule that passes"), h("p", { class: "note" }, other.sentence, other.but ? ` Yet: ${other.but}` : ""), lanes.element, command("Replay that", other.replay));
}

const block = (title, lines) => (lines?.length ? h("section", { "aria-label": title }, h("h3", {}, title), h("pre", { class: "wraps" }, lines.join("\n"))) : null);

// A column for each M, a row for each step, in the cell of who made it what it was.
function lanesOf({ ms }, steps, label, opens, matters) {
  const files = new Set(steps.filter((step) => step.place).map((step) => step.place.split(":")[0])), file = files.size === 1 ? [...files][0] : ""; // then the numbers of its lines will do
  const who = [...new Set(steps.map((step) => step.m))].sort((a, b) => a - b), rows = new Map();
  const row = (step, before) => {
    const skipped = step.step - before - 1, cut = skipped > 0 ? h("tr", { class: "skipped" }, h("td", { colspan: String(who.length + 1) }, `${plural(skipped, "step")} left out`)) : null;
    const at = h("tr", { class: [matters.has(step.step) ? "matters" : "", step.preempts ? "switch" : ""].join(" "), "data-step": String(step.step) }, h("th", { scope: "row", class: "n" }, count(step.step)),
      who.map((m) => h("td", { "data-m": m === step.m ? `M${m}` : null }, m === step.m ? [h("span", { class: "did" }, `${step.kind} ${step.obj}${step.value ? ` ${step.value}` : ""}`, step.drawn.map(([name, , value]) => ` ${name || "drawn"}=${value}`)), step.place ? h("small", {}, ` ${file ? step.place.slice(file.length) : step.place}`) : null, step.preempts ? h("span", { class: "visually-hidden" }, ", a forced switch") : null] : null)));
    rows.set(step.step, at);
    return [cut, at];
  };
  const body = h("tbody", {}, steps.map((step, i) => row(step, i ? steps[i - 1].step : 0)));
  const { region, sign } = scrolling(label, h("table", {}, h("caption", { class: "visually-hidden" }, label), h("thead", {}, h("tr", {}, h("th", { scope: "col", class: "n" }, "step"), who.map((m) => h("th", { scope: "col" }, `M${m} ${ms[m] || ""}`)))), body), "steps-table");
  return {
    element: h("div", {}, region, sign, file ? h("p", { class: "note" }, `behind a step: the line of ${file} that it goes on from`) : null),
    look(step, focus = true) {
      for (const one of rows.values()) one.removeAttribute("aria-current");
      const at = rows.get(step);
      if (!at) return;
      at.setAttribute("aria-current", "step");
      const cell = at.querySelector("[data-m]");
      region.scrollLeft = Math.max(0, cell.offsetLeft + cell.offsetWidth - region.clientWidth);
      region.scrollTop = at.offsetTop - region.clientHeight / 3;
      if (focus) region.focus();
    },
  };
}
