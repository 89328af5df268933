// A scenario with its options as a form: typed, their ranges shown.

import { count, field, fill, guarded, h, select } from "./dom.js";

// inside: it runs in the service's World, which has settings already; start: given what is wanted.
export function scenarioForm(library, { inside = false, folded = false, start }) {
  const about = h("p", { class: "note" }), options = h("div", { class: "two" });
  const controls = new Map(), as = [["", "as the scenario says"]];
  let chosen = null;
  const policy = policyControls(library.policies);
  const settings = inside ? { ms: h("input", { type: "number", min: "1", max: "64" }) } : {
    ms: h("input", { type: "number", min: "1", max: "1024" }), cpus: h("input", { type: "number", min: "1", max: "256", placeholder: "4" }),
    seed: h("input", { type: "number", min: "0", placeholder: "0" }), mutex: select([...as, ...library.mutexes], ""),
    release: select([...as, ...library.releases], ""), platform: select([...as, ...library.platforms], ""),
    strategy: select([["", "timing"], ...library.strategies.run.filter((one) => one !== "timing")], ""), max_pages: h("input", { type: "number", min: "1", max: "65536", placeholder: "65536" }),
  };
  const pick = () => {
    chosen = library.scenarios.find((one) => one.name === scenario.value);
    about.textContent = chosen.summary;
    settings.ms.placeholder = String(chosen.ms);
    controls.clear();
    fill(options, chosen.options.map((option) => {
      const control = optionControl(option);
      controls.set(option.name, [option, control]);
      return field(option.name.replaceAll("_", " "), control, [option.help, range(option)].filter(Boolean).join("; "));
    }));
  };
  const submit = guarded(async () => {
    const wanted = { scenario: chosen.name, options: {}, settings: {}, where: inside ? "service" : "own" };
    for (const [name, [option, control]] of controls) {
      const value = valueOf(option, control);
      if (value !== option.default && value !== "") wanted.options[name] = value;
    }
    for (const [name, control] of Object.entries(settings)) if (control.value !== "") wanted.settings[name] = control.type === "number" ? Number(control.value) : control.value;
    if (!inside && policy.value()) wanted.settings.policy = policy.value();
    await start(wanted);
  });
  const scenario = select(library.scenarios.map((one) => one.name), "memlock_storm", pick);
  pick();
  const fields = Object.entries(settings).map(([name, control]) => field(name === "ms" ? "Ms" : name.replace("_", " "), control));
  if (!inside) fields.push(...policy.fields);
  const form = h("form", { class: "stack", "aria-label": inside ? "a scenario in this World" : "a scenario", onsubmit: (event) => { event.preventDefault(); submit(); } }, field("scenario", scenario), about,
    inside ? [fields, h("details", {}, h("summary", {}, "Its options"), options)] : [options, h("details", {}, h("summary", {}, "Settings of its World"), h("div", { class: "two" }, fields))],
    h("div", {}, h("button", { class: "main" }, inside ? "Start it here" : "Start it")));
  return inside ? form : h("details", { class: "panel", open: !folded }, h("summary", {}, h("h2", {}, "Run a scenario")), form);
}

// How the allocator searches: Go's own, or another policy, some of which have a size.
function policyControls(policies) {
  const named = new Map(policies.map((one) => [one.name, one])), [own] = policies;
  const size = select([], ""), pick = () => {
    const { about, sizes, size: usual } = named.get(choice.value);
    help.textContent = about;
    fill(size, sizes.map((one) => h("option", { value: one, selected: one === usual }, one)));
    sized.hidden = !sizes.length;
    if (sizes.length) note.textContent = `${sizes[0]} to ${sizes[sizes.length - 1]}`;
  };
  const choice = select(policies.map((one) => [one.name, one === own ? `${one.name} (Go’s own)` : one.name]), own.name, () => pick());
  const field_ = field("policy", choice, " "), sized = field("its size", size, " ");
  const help = field_.querySelector("small"), note = sized.querySelector("small");
  pick();
  return { fields: [field_, sized], value: () => (choice.value === own.name ? "" : sized.hidden ? choice.value : `${choice.value}:${size.value}`) };
}

function optionControl(option) {
  if (option.type === "bool") return h("input", { type: "checkbox", checked: Boolean(option.default) });
  if (option.type.includes("|")) return select(option.type.split("|"), option.default);
  if (option.type === "int" || option.type === "float") return h("input", { type: "number", value: String(option.default), step: option.type === "int" ? "1" : "any", min: option.low === null ? null : String(option.low), max: option.high === null ? null : String(option.high) });
  return h("input", { value: String(option.default), maxlength: "200" });
}

function valueOf(option, control) {
  if (option.type === "bool") return control.checked;
  if (option.type === "int" || option.type === "float") return control.value === "" ? "" : Number(control.value);
  return control.value;
}

function range({ low, high }) {
  if (low === null && high === null) return "";
  if (high === null) return `at least ${count(low)}`;
  return low === null ? `at most ${count(high)}` : `${count(low)} to ${count(high)}`;
}
