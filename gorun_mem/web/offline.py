"""The page as one file that needs no network: modules, style sheet and a document inside.

The modules are those that the service's page is made of (static/), put into one script: each
becomes a function that is called once and gives what it exports, and an import takes it from there.
That is all the building there is, and it asks of the modules that they import and export by name,
one statement a line, as `tests/web/test_offline.py` holds them to.

Names in a document are input from outside: the page makes text of them, never markup, and in the
JSON every "<" is written so that it cannot end the script. A Content-Security-Policy names the one
script and the one style sheet by their hashes, and forbids the file to load or send anything.

Nothing here needs what the extra `web` brings.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from gorun_mem.files.writing import write_output
from gorun_mem.report.terms import TERMS

STATIC: Final = Path(__file__).parent / "static"
ENTRY: Final = "offline"
"""The module that shows a document."""
IMPORT: Final = re.compile(r'^import \{ ([^}]*) \} from "\./([a-z]+)\.js";$', re.M)
EXPORT: Final = re.compile(r"^export (?=(?:async function|function|class|const) (\w+))", re.M)
_LOADED: Final = re.compile(r"^<(?:link|script)\b.*\n", re.M)


def write(document: Mapping[str, Any], target: Path) -> int:
    """Write a document as a file for a browser; nothing is left behind where that fails.

    Args:
        document: what is shown; its `kind` says how, and its `title` names it.
        target: the file.

    Returns:
        Bytes written.

    Raises:
        OSError: it cannot be written.
    """
    data = page(document).encode()
    write_output(target, data)
    return len(data)


def page(document: Mapping[str, Any]) -> str:
    """The file's text; see `write`."""
    script, style = bundle(ENTRY), (STATIC / "style.css").read_text("utf-8")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    title = html.escape(str(document["title"]))
    head, _, body = (STATIC / "index.html").read_text("utf-8").partition("</head>")
    head = _LOADED.sub("", head).replace("<title>gorun_mem<", f"<title>{title} - gorun_mem<")
    csp = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    head = head.replace("<meta charset", f"{csp}\n<meta charset", 1)
    data = json_text({**document, "terms": TERMS})
    inside = (
        f'<script type="application/json" id="data">{data}</script>\n'
        f'<script type="module">{script}</script>\n'
    )
    icon = '<link rel="icon" href="data:,">'
    return f"{head}{icon}\n<style>{style}</style>\n</head>{body}".replace(
        "</body>", f"{inside}</body>"
    )


def json_text(data: Any) -> str:
    """JSON that is safe within a script element."""
    text = json.dumps(data, separators=(",", ":"))  # ints of any size, and ASCII only
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


@cache
def bundle(entry: str) -> str:
    """A module and all that it imports, as one script.

    Args:
        entry: the module's name.
    """
    order: dict[str, str] = {}
    _take(entry, order, ())
    return "".join(f"const ${name} = (() => {{\n{text}}})();\n" for name, text in order.items())


def _take(name: str, order: dict[str, str], above: tuple[str, ...]) -> None:
    """Add a module behind those that it imports."""
    if name in order:
        return
    assert name not in above, f"a circle of imports: {above}"
    text = (STATIC / f"{name}.js").read_text("utf-8")
    for _, wanted in IMPORT.findall(text):
        _take(wanted, order, (*above, name))
    exports = ", ".join(EXPORT.findall(text))
    text = IMPORT.sub(lambda one: f"const {{ {one[1]} }} = ${one[2]};", text)
    order[name] = f"{EXPORT.sub('', text)}return {{ {exports} }};\n"


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"
