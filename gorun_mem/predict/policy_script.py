"""An operation script under another allocator policy.

Go's own layer answers the script beside it, so that an address in the script says which memory is
meant. What found no memory there is left out, as are operations that only look, and the script's
own limits bind Go's layer alone: what another policy takes beyond them is to be seen.
So a script that went to its limit favours Go's own policy: it has what that one could serve.
"""

from __future__ import annotations

from pathlib import Path

from gorun_mem.policies import Policy, PolicyError, policy_parts, policy_release
from gorun_mem.predict.policies import MovedCalls, PolicyResult, result
from gorun_mem.replay.ops import BadOptions, OpMachine, Options
from gorun_mem.replay.opscript import Operation, Script, ScriptError
from gorun_mem.runtime.behaviour import UnknownRelease, WasmBreak
from gorun_mem.runtime.boot import MAX_PAGES, BootOptions, boot
from gorun_mem.runtime.errors import EmulatedFailure
from gorun_mem.runtime.mutex import make


def is_script(path: Path | str) -> bool:
    """Whether a file is a script with its options in the first line."""
    try:
        with Script.open(str(path)) as script:
            header = script.header()
            return header is not None and "platform" in header
    except (OSError, ScriptError):
        return False


def script_under_policy(
    path: Path | str, policy: Policy, max_pages: int = MAX_PAGES
) -> PolicyResult:
    """A script under the options of its header and a policy, to where Go's own program ends.

    Args:
        path: of the script.
        policy: of this run alone.
        max_pages: pages of 64 KiB that there may be under it.

    Raises:
        ScriptError: it cannot be read, or its platform or release has no free list on wasm.
        PolicyError: the policy handed out what is not free, or lost what is.
        OSError: it cannot be opened.
    """
    with Script.open(str(path)) as script:
        try:
            options = Options().with_header(script.header() or {})
            own = OpMachine(options)
        except (BadOptions, UnknownRelease) as error:
            raise ScriptError(str(path), 1, str(error)) from None
        release, platform = options.check()
        if not platform.is_wasm or release.behaviour.wasm_break is WasmBreak.RESERVE_END:
            raise ScriptError(
                str(path), 1, f"{release.name} on {platform.name}: no free list there"
            )
        own.read_for(script)
        os = boot(
            policy_release(policy, release),
            platform,
            BootOptions(options.end, options.init_pages, max_pages, faithful=True),
            memlock=make("none", release),
            parts=policy_parts(policy),
        ).os
        calls = MovedCalls(os)
        for operation in script:
            answer = own.answer(operation)
            if own.failure is not None:
                break
            try:
                if not _make(calls, operation, answer):
                    return result("ops", os, policy, False)
            except PolicyError:
                raise
            except EmulatedFailure:
                return result("ops", os, policy, False)
        return result("ops", os, policy, True)


def _make(calls: MovedCalls, operation: Operation, answer: str) -> bool:
    """One operation; False where it found no memory though Go's own did."""
    name, operands = operation.name, operation.operands
    n = operands[-1] if operands else 0
    if name == "free":
        calls.free(operands[0], n)
    elif name in ("alloc", "reserve", "reserve_aligned"):
        was, _, got = answer.partition(" ")
        if was == "0":
            return True
        if name == "alloc":
            return calls.alloc(n, int(was))
        if name == "reserve":
            return calls.reserve(operands[0], n, int(was))
        return calls.reserve_aligned(operands[0], n, int(was), int(got))
    elif name == "hostgrow":
        calls.os.host_grow(n)
    return True
