"""What `predict --policy` says: recordings under other allocator policies, beside Go's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gorun_mem.cli._common import BadInput, ExitCode, progress, write_json
from gorun_mem.cli._output import show

if TYPE_CHECKING:
    from gorun_mem.policies import MakePolicy
    from gorun_mem.predict.policies import PolicyResult

_PAGE = 1 << 16


def compare(
    recordings: Sequence[Path], wanted: Sequence[str], max_pages: int | None, as_json: bool
) -> int:
    """Show recordings under Go's own policy and those asked for.

    Args:
        recordings: files or names.
        wanted: names, FILE.py:Class, or "all".
        max_pages: pages that there may be; None for no limit but the program's.
        as_json: one document in place of tables.

    Raises:
        BadInput: a recording is bad, or a policy is none or does not do what it must.
    """
    policies = _load(wanted)
    rows = []
    with progress("trying", total=len(recordings) * len(policies)) as advance:
        for path in recordings:
            own = 0
            for name, policy in policies.items():
                found = _try(path, name, policy, max_pages)
                own = own or found.pages
                rows.append(_row(path, name, found, own))
                advance(1)
    cases = _cases(rows) if len(recordings) > 1 else []
    lived = all(row["lived"] for row in rows)
    code = ExitCode.CLEAN if lived else ExitCode.FAILED
    if as_json:
        write_json({"rows": rows, "cases": cases, "max_pages": max_pages, "exit": code})
    else:
        show(_text(rows, cases))
    return code


def _load(wanted: Sequence[str]) -> dict[str, MakePolicy]:
    """Go's own first, then each that is asked for, once."""
    from gorun_mem.policies import OWN, UnknownPolicy, load_policy, spread_policies

    try:
        names = [OWN, *(name for word in wanted for name in spread_policies(word))]
        return {name: load_policy(name) for name in dict.fromkeys(names)}
    except UnknownPolicy as error:
        raise BadInput(f"--policy: {error}") from None


def _try(path: Path, name: str, policy: MakePolicy, max_pages: int | None) -> PolicyResult:
    from gorun_mem.policies import PolicyError
    from gorun_mem.predict.policies import under_policy
    from gorun_mem.predict.policy_script import is_script, script_under_policy
    from gorun_mem.replay.opscript import ScriptError
    from gorun_mem.replay.recording import RecordingError
    from gorun_mem.runtime.boot import MAX_PAGES
    from gorun_mem.runtime.errors import NotInstantiable

    try:
        if is_script(path):
            return script_under_policy(path, policy(), max_pages or MAX_PAGES)
        return under_policy(path, policy, max_pages or MAX_PAGES)
    except (RecordingError, ScriptError) as error:
        raise BadInput(str(error)) from None
    except NotInstantiable as error:
        raise BadInput(f"{path}: {error}") from None
    except PolicyError as error:
        raise BadInput(f"--policy {name}: {error} (on {path})") from None


def _row(path: Path, name: str, found: PolicyResult, own: int) -> dict[str, Any]:
    return {
        "recording": str(path),
        "policy": name,
        **asdict(found),
        "fragmentation": round(found.fragmentation, 3),
        "saved_pages": own - found.pages if found.lived else None,
    }


def _cases(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each policy, over the recordings: what it saved in all, at best and at worst.

    What a policy died of says nothing of pages: such a recording is left out for all of them.
    """
    died = {row["recording"] for row in rows if not row["lived"]}
    rows = [row for row in rows if row["recording"] not in died]
    cases = []
    for name in dict.fromkeys(row["policy"] for row in rows):
        own = [row for row in rows if row["policy"] == name]
        best = max(own, key=lambda row: row["saved_pages"])
        worst = min(own, key=lambda row: row["saved_pages"])
        cases.append(
            {
                "policy": name,
                "pages": sum(row["pages"] for row in own),
                "saved_pages": sum(row["saved_pages"] for row in own),
                "grows": sum(row["grows"] for row in own),
                "steps": sum(row["steps"] for row in own),
                "best": {"recording": best["recording"], "saved_pages": best["saved_pages"]},
                "worst": {"recording": worst["recording"], "saved_pages": worst["saved_pages"]},
            }
        )
    return cases


def _text(rows: Sequence[dict[str, Any]], cases: Sequence[dict[str, Any]]) -> str:
    from gorun_mem.report.width import figures_table

    blocks = []
    for path in dict.fromkeys(row["recording"] for row in rows):
        own = [row for row in rows if row["recording"] == path]
        head = f"{path}, at {own[0]['level']} level, on its own release; first_fit is Go's own"
        columns = ["policy", "pages", "saved", "grows", "steps", "free pages", "in blocks", "split"]
        blocks.append(f"{head}\n\n{figures_table(columns, [_cells(row) for row in own])}")
    if cases:
        columns = ["policy", "pages", "saved", "grows", "steps", "at best", "at worst"]
        cells = [
            [
                case["policy"],
                f"{case['pages']:,}",
                f"{case['saved_pages']:,}",
                f"{case['grows']:,}",
                f"{case['steps']:,}",
                *(
                    f"{case[end]['saved_pages']:,} ({Path(case[end]['recording']).name})"
                    for end in ("best", "worst")
                ),
            ]
            for case in cases
        ]
        count = len({row["recording"] for row in rows})
        died = {row["recording"] for row in rows if not row["lived"]}
        head = f"all {count - len(died)} that every policy lived through"
        blocks.append(f"{head}\n\n{figures_table(columns, cells)}")
    return "\n\n".join(blocks)


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        row["policy"],
        f"{row['pages']:,}" if row["lived"] else f"dies at {row['pages']:,}",
        f"{row['saved_pages']:,}" if row["lived"] else "-",
        f"{row['grows']:,}",
        f"{row['steps']:,}",
        f"{row['free_bytes'] // _PAGE:,}",
        f"{row['free_blocks']:,}",
        f"{row['fragmentation']:.0%}",
    ]
