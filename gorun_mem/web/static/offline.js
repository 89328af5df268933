// The page as one file: the document is in it, and nothing is asked for.

import { comparison } from "./comparison.js";
import { fill, setTerms } from "./dom.js";
import { exploration, schedule } from "./exploration.js";
import { report } from "./report.js";
import { theme } from "./theme.js";

const VIEWS = { comparison, exploration, report: (doc) => report(doc), schedule };
const doc = JSON.parse(document.getElementById("data").textContent);

setTerms(doc.terms);
theme();
fill(document.getElementById("main"), VIEWS[doc.kind](doc));
