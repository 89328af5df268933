"""What the words on the page mean, in a sentence or two each; shown at a hover, a tap or by key."""

from __future__ import annotations

from typing import Final

TERMS: Final[dict[str, str]] = {
    "M": "A machine thread of the Go runtime; here a task that makes one access at a time. M0 is "
    "the scenario itself.",
    "World": "One emulated Go runtime: its linear memory, its break, its free list, its locks and "
    "the Ms that contend for them.",
    "memlock": "The runtime lock around the sbrk memory layer: every call that gets or gives back "
    "memory holds it.",
    "virtual time": "What the clock of the World says, in ns. Every access has a cost from one "
    "documented table; it is not the time on your wall.",
    "hold": "From having a lock to giving it back.",
    "wait": "From asking for a lock that is taken to having it.",
    "contended": "An acquisition that found the lock taken and had to wait.",
    "convoy": "A row of Ms that wait for one lock and get it one after another; each goes back to "
    "the end of the row with its next call.",
    "bypass": "An M gets the lock though another has waited longer.",
    "handoff": "The release gives the lock to an M that waits, and nobody can come between.",
    "spin": "A waiting M looks again and again without giving up its CPU.",
    "sleep": "A waiting M gives up its CPU until somebody wakes it.",
    "p50": "Half of the waits were no longer than this (nearest rank).",
    "p90": "Nine of ten waits were no longer than this.",
    "p99": "99 of 100 waits were no longer than this.",
    "break": "The end of the memory that the program may use; bloc in mem_sbrk.go.",
    "bloc": "The break: where the next memory from the system begins.",
    "bloc_max": "How far the break may go before memory has to grow.",
    "page": "64 KiB of wasm linear memory. It grows by pages and never shrinks.",
    "free list": "Blocks that were given back below the break, in address order, their headers in "
    "the memory itself.",
    "free block": "A range of the free list, to be handed out again.",
    "growth": "memory.grow, or a higher break: the program has more pages from here on.",
    "hint miss": "An arena was wanted at the break, and the break had moved: Go drops the hint and "
    "the heap grows elsewhere.",
    "arena": "A piece of the heap, 4 MiB or 64 MiB, that the garbage collector manages.",
    "slack": "Memory that was got from the system and is neither in use nor on the free list.",
    "lost wakeup": "An M sleeps for something that has happened already: the wakeup came before it "
    "slept, or went to nobody.",
    "deadlock": "No M can go on: each waits for another, or for a wakeup that nobody will send.",
    "schedule": "Who makes the next step, at every step. The same schedule gives the same run.",
    "token": "A schedule as text: paste it behind gorun-mem replay-schedule and the run is the "
    "same, step by step.",
    "step": "One access to something that Ms share: a load, a swap, a sleep. Between two steps "
    "another M may go.",
    "enabled": "An M whose next step can be made now. One that sleeps or waits is not.",
    "preempts": "Another M goes although the one before could have gone on.",
    "run to block": "The plainest schedule: the same M until it can go no further.",
    "random": "Any enabled M, each as likely.",
    "pct": "Random priorities that change at few steps (Burckhardt et al., ASPLOS 2010).",
    "pos": "A random priority for every operation (Yuan, Yang, Gu, CAV 2018).",
    "wait-for graph": "Who waits for a lock that who holds. A circle in it is a deadlock.",
    "slow motion": "So many ns of virtual time in a second of yours, to see who waits.",
    "missed": "What your browser was too slow to be sent. Nobody waited for it.",
    "sampled": "The page hears some hundred lock events, then rests: a stretch seen event by "
    "event, then a gap.",
}
"""Word -> what it means."""
