// Facts with their names, and commands to paste.

import { copy, h, named } from "./dom.js";

export function command(what, line) {
  return h("p", { class: "command" }, h("span", { class: "note" }, `${what}: `), h("code", {}, line), " ", h("button", { type: "button", class: "quiet small", "aria-label": `copy: ${what}`, onclick: (event) => copy(line, event.currentTarget) }, "Copy"));
}

export function facts(all) {
  return all.length ? h("dl", { class: "facts" }, all.map(([name, value]) => h("div", {}, h("dt", {}, named(name)), h("dd", {}, value)))) : null;
}
