// The page: which view is shown, light or dark, and what the address says.

import { get } from "./api.js";
import { complain, fill, guarded, h, setTerms } from "./dom.js";
import { chair } from "./chair.js";
import { live } from "./live.js";
import { runs } from "./runs.js";
import { theme } from "./theme.js";

const VIEWS = { live: ["Live", live], runs: ["Runs", runs], chair: ["Scheduler’s chair", chair] };
const main = document.getElementById("main"), status = document.getElementById("status");

function say(text, bad = false) {
  status.textContent = text;
  status.classList.toggle("bad", bad);
}

const place = () => {
  const [view, ...rest] = location.hash.slice(1).split("/");
  return { view, rest: rest.map(decodeURIComponent) };
};

let leave = null;

async function begin() {
  theme();
  const [site, library] = await Promise.all([get("/api/site"), get("/api/library")]);
  setTerms(library.terms);
  const names = Object.keys(VIEWS).filter((name) => name !== "live" || site.live);
  const tabs = document.getElementById("tabs");
  fill(tabs, names.map((name) => h("a", { href: `#${name}`, "data-view": name }, VIEWS[name][0])));
  const { shows } = site;
  const start = { live: "live", run: `runs/${shows.id}`, token: `chair/token/${encodeURIComponent(shows.token || "")}` }[shows.kind] || "runs";

  const show = guarded(async () => {
    let { view, rest } = place();
    if (!names.includes(view)) { view = place().view; location.replace(`#${start}`); return; }
    leave?.abort();
    leave = new AbortController();
    for (const link of tabs.children) {
      if (link.dataset.view === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${VIEWS[view][0]} · gorun_mem`;
    say("");
    await VIEWS[view][1]({ main, rest, site, library, signal: leave.signal, say });
  });
  addEventListener("hashchange", show);
  if (!names.includes(place().view)) history.replaceState(null, "", `#${start}`);
  await show();
}

begin().catch((error) => { complain(error); fill(main, h("p", { class: "empty" }, "The page cannot be shown: ", error.message)); });
