"""Who asked for a recorded program's spans, as a profile that `go tool pprof` reads.

Of each stack: how many spans, their bytes, the bytes in use at the end, and by how much they grew
the linear memory, which is what is shown where nothing is asked for. A span of small objects is
charged to who needed the first of them, so this is who made the memory grow rather than who keeps
what in it. What no stack asked for stands under its kind, as goroutine stacks.
"""

from __future__ import annotations

import gzip
from typing import IO, Final

from gorun_mem.export.profile import ProfileSample, encode
from gorun_mem.predict.makeup import makeup
from gorun_mem.predict.program import Program
from gorun_mem.runtime.pages import PAGE

_TYPES: Final = (("spans", "count"), ("asked", "bytes"), ("in_use", "bytes"), ("grown", "bytes"))


def write_spans(program: Program, file: IO[bytes]) -> int:
    """Write the profile of a recorded program; the number of samples.

    Args:
        program: from `load`.
        file: where to.
    """
    found = makeup(program)
    samples = [
        ProfileSample(one.stack, (one.spans, one.asked, one.in_use, one.grown_pages * PAGE))
        for one in found.askers
    ]
    known = {one.stack[0] for one in found.askers}
    samples += [
        ProfileSample((f"({who})",), (0, 0, 0, pages * PAGE))
        for who, pages in found.grown_by.items()
        if who not in known
    ]
    header = program.header
    comments = [
        "gorun_mem spans of a recorded program, nothing sampled",
        f"{header.program}: {header.go} {header.platform_name}, {found.end.pages} pages at the end",
    ]
    data = encode(_TYPES, samples, comments, period=("grown", "bytes"))
    file.write(gzip.compress(data, 6, mtime=0))
    return len(samples)
