// Light or dark: as the system is until somebody chooses.

const KEY = "gorun_mem.theme", KINDS = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

// A file that is opened in a sandbox has no storage.
const kept = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
const keep = (kind) => { try { localStorage.setItem(KEY, kind); } catch { /* it is forgotten */ } };

export function theme() {
  const button = document.getElementById("theme"), dark = matchMedia("(prefers-color-scheme: dark)"), kinds = Object.keys(KINDS);
  let kind = kinds.includes(kept()) ? kept() : "auto";
  const apply = () => {
    document.documentElement.dataset.theme = kind === "auto" ? (dark.matches ? "dark" : "light") : kind;
    button.textContent = KINDS[kind];
    dispatchEvent(new Event("themed"));
  };
  button.addEventListener("click", () => {
    kind = kinds[(kinds.indexOf(kind) + 1) % 3];
    keep(kind);
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}
