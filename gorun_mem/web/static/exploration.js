// A search and what it found. The document is that of `explore --json`.

import { count, h, named, ns, plural } from "./dom.js";
import { command, facts } from "./facts.js";
import { failure } from "./failure.js";

const VERDICTS = { failed: "bad", exhausted: "good", survived: "good", inconclusive: "" };

export function exploration(doc) {
  const { found } = doc, world = found.world || {};
  return h("div", { class: "stack whole" },
    h("section", { class: `verdict ${VERDICTS[found.verdict] ?? ""}`, "aria-label": "Summary" }, h("h1", {}, doc.title),
      h("p", {}, h("strong", {}, named(found.verdict)), `: ${found.reason}`),
      facts([["strategy", `${found.strategy}, seed ${found.seed}`], ["schedules", `${count(found.schedules)}${found.space ? ` of about ${count(Math.round(found.space))}` : ""}`], ["different", count(found.distinct)], ["steps", count(found.steps)], ["took", ns(found.seconds * 1e9)], ["memory model", world.memory_model], ["faults", world.faults?.length ? world.faults.join(", ") : "none"], ["failures", count(found.failures.length)]].filter(([, value]) => value !== undefined)),
      doc.left_out ? h("p", { class: "note" }, `${plural(doc.left_out, "failure")} more ${doc.left_out === 1 ? "is" : "are"} in explore --json`) : null,
      command("Again", doc.again)),
    found.failures.map((one, i) => failure(one, i, found.failures.length)));
}

// One schedule: what it leads to, or why that is not said.
export function schedule(doc) {
  return h("div", { class: "stack whole" },
    h("section", { class: `verdict ${doc.failure ? "bad" : ""}`, "aria-label": "Summary" }, h("h1", {}, doc.title), doc.no_failure.map((line) => h("p", {}, line)), command("Again", doc.again)),
    doc.failure ? failure(doc.failure, 0, 1) : null);
}
