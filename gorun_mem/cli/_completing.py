"""What a shell offers behind an option or in place of an argument.

click knows verbs, options and choices by itself. The rest is one table here, by the parameter's
name, read when a shell asks and at no other time; a value that may be a file's is offered as such
too. No script of the user's is run for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem

Names = Callable[["click.Context"], Iterable[str]]
"""What there is; "" among it stands for a file."""


def _releases(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.runtime.behaviour import KNOWN

    return KNOWN


def _platforms(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.runtime.behaviour import PLATFORMS

    return PLATFORMS


def _mutexes(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.runtime.mutex import MUTEXES

    return ["", *MUTEXES]


def _verified(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.explore.states.bounds import SUBJECTS

    return [*_mutexes(ctx), *SUBJECTS]


def _strategies(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.step.strategies import for_runs

    return for_runs()


def _costs(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.step.costs import names

    return ["", *names()]


def _policies(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.policies import POLICIES

    return ["", "all", *POLICIES]


def _detectors(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.explore.detectors import DETECTORS

    return ["", *DETECTORS]


def _scenarios(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.machine.library import library_folder

    folder = library_folder()
    if folder is None:
        return [""]
    return ["", *sorted(p.stem for p in folder.glob("*.py") if not p.name.startswith("_"))]


def _settings(ctx: click.Context) -> Iterable[str]:
    """The options of the scenario that is on the line, where it is one of the library."""
    from gorun_mem.machine.library import find, names

    # An option without its value ends click's parsing: the words so far are in `args` then, and
    # parameters have their defaults.
    given: list[Any] = ctx.args or [ctx.params.get("scenario"), ctx.params.get("target")]
    known = names()
    scenario = next((str(word) for word in given if word in known), None)
    return [f"{name}=" for name in find(scenario).options] if scenario is not None else []


def _recordings(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.replay.shipped import names

    return ["", *names()]


def _targets(ctx: click.Context) -> Iterable[str]:
    return [*_scenarios(ctx), *_recordings(ctx)]


def _terms(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.cli._topics import TOPICS
    from gorun_mem.report.terms import WORDS, metric_terms

    return [*TOPICS, *(term.word for term in [*WORDS, *metric_terms()])]


def _metrics(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.report.terms import metric_terms

    return [term.word.replace("lock.NAME.", "lock.memlock.") for term in metric_terms()]


def _benches(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.bench import BENCHES

    return BENCHES


def _faults(ctx: click.Context) -> Iterable[str]:
    from gorun_mem.machine.config import FAULTS

    return FAULTS


def _last_or_file(ctx: click.Context) -> Iterable[str]:
    return ["", "last"]


def _file(ctx: click.Context) -> Iterable[str]:
    return [""]


BY_NAME: Final[dict[str, Names]] = {
    "address": lambda ctx: ["127.0.0.1:7059", "unix:"],
    "app": _file,
    "asserts": _metrics,
    "code": _file,
    "costs": _costs,
    "data": _file,
    "detectors": _detectors,
    "dirs": _file,
    "fail_on": _metrics,
    "faults": _faults,
    "files": _file,
    "http": lambda ctx: ["127.0.0.1:7060"],
    "log": _last_or_file,
    "log_a": _last_or_file,
    "log_b": _last_or_file,
    "metrics": _metrics,
    "mutex": _mutexes,
    "name": _scenarios,
    "names": _benches,
    "node": _file,
    "output": _file,
    "platform": _platforms,
    "policies": _policies,
    "policy": _policies,
    "recordings": _recordings,
    "release": _releases,
    "resume": _file,
    "save": _file,
    "scenario": _scenarios,
    "schedule": _last_or_file,
    "settings": _settings,
    "shown": _last_or_file,
    "strategy": _strategies,
    "target": _targets,
    "term": _terms,
    "token_file": _file,
    "traces": _file,
    "wanted": _releases,
}
"""What is offered for a parameter of that name, whatever the verb."""
BY_VERB: Final[dict[tuple[str, str], Names]] = {("verify", "mutex"): _verified}
"""And where that is another thing."""


def offer(command: click.Command) -> None:
    """Let the parameters of a verb offer what there is."""
    for param in command.params:
        names = BY_VERB.get((str(command.name), str(param.name))) or BY_NAME.get(str(param.name))
        if names is not None and not _offers_by_itself(param):
            param.shell_complete = _offering(names)  # type: ignore[assignment,method-assign]


def _offers_by_itself(param: click.Parameter) -> bool:
    """Whether it is a choice: then click knows what there is."""
    return hasattr(param.type, "choices") or getattr(param, "is_flag", False)


def _offering(names: Names) -> Callable[[Any, str], list[CompletionItem]]:
    def shell_complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        try:
            found = list(dict.fromkeys(names(ctx)))
        except Exception:  # half a line is no place for reports
            return []
        # A file first: shells that can show one or the other show words where any fits.
        files = [CompletionItem(incomplete, type="file")] if "" in found else []
        words = [CompletionItem(name) for name in found if name and name.startswith(incomplete)]
        return files + words

    return shell_complete
