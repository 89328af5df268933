"""Every M sends and receives on one buffered channel: they fight for the lock inside the channel.

This is the load of Go's BenchmarkChanContended (runtime/chan_test.go) on a runtime lock: an
iteration is 100 sends and 100 receives on a channel whose buffer is large enough for all, so that
nobody ever waits for a partner. What is left of a send is `hchan.lock`, a few ns of work on the
channel's own words, and the unlock. Iterations come from one pool, as with testing.PB, so Ms that
get the lock more often do more of them.

What is simulated stands beside what was measured, all as multiples of the time that one thread
alone takes. `server-16` is the machine of the default cost table, with 16 CPUs and these very
locks (`gorun-mem bench calibration`). On the 20 hardware threads of an i7-13700H the mutex of Linux
up to 1.23 (`futex`) slows down with each thread that is added, while a sketch of the one that came
in 1.24 (`spinbit`) falls to about a quarter of its speed without contention and stays there; with 8
threads they are equal, and with 20 the old one is slower by another factor of 3 (golang/go#68578).
On an arm64 machine with 1 to 4 threads the release itself was measured (golang/go#75261).

What fits: `futex` slows down with every M, because each that is awake looks at the word over and
over and so takes its cache line from whoever is about to write it, and with 20 Ms is some 13 times
slower than alone (12 as published; 10 on server-16 with 16); `spinbit` lets one spin, slows down
with the second M and is flat from there on. What does not: `spinbit` is 1.5 times slower than alone
where server-16 has 2.2, and the sketch of #68578 had 4. So the two meet at 2 to 3 Ms (on arm64,
between 2 and 3) and not at 8. `--costs laptop-68578` takes the figures of that laptop; its cores of
two speeds, hyperthreads, and a clock that falls with the load are not in the model.

The log and its statistics are those of one run: of the mutex, Ms and CPUs that the settings say.
The simulations that are compared run aside, in Worlds of their own, for two runs in one log could
not be told apart; they keep release, CPUs, seed and cost table of the settings. In the log, look
for `lock.acquire` with `prev_owner_m` the same M (it has captured the lock) and for `bypassed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Annotated, Any, Final

from gorun_mem import Config, M, Op, Range, ScenarioError, World, plot, scenario, table
from gorun_mem.calibration.measured import channel_ns

SENDS: Final = 100
"""Sends of an iteration, and as many receives: C of the benchmark."""

PUBLISHED_AMD64: Final = {"futex": {1: 1, 8: 4, 20: 12}, "spinbit": {1: 1, 8: 4, 20: 4}}
"""golang/go#68578, in words there: "1/4 of the zero-contention speed", "at 8 threads ... equal",
"at 20 ... slowed an additional 3x"."""
PUBLISHED_ARM64: Final = {
    "futex": {1: 1, 2: 13.44 / 6.317, 3: 16.99 / 6.317, 4: 22.11 / 6.317},
    "spinbit": {1: 1, 2: 18.34 / 6.481, 3: 14.15 / 6.481, 4: 17.51 / 6.481},
}
"""golang/go#75261: microseconds an iteration, over those of one thread."""


MISFIT: Final = """#68578 has both at 4 with 8 Ms, and 12 and 4 with 20: spinbit fell much further
there, so they met later. The model has no hyperthreads, no slow cores and no
falling clock; and that spinbit was a sketch of the release's."""


class Touch(Op):
    """Write a word of the channel, which its lock guards."""

    __slots__ = ()
    kind = "touch"

    def __init__(self, obj: str) -> None:
        self.obj = obj

    def step(self, m: M) -> object:
        """Only who has the cache line matters."""
        return None


COUNTERS, SLOT = Touch("hchan.qcount"), Touch("hchan.buf")


def numbers(text: str) -> list[int]:
    """The numbers of Ms in an option.

    Raises:
        ScenarioError: it has something else.
    """
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or found != sorted(set(found)) or found[0] < 1 or found[-1] > 256:
        raise ScenarioError(
            f"threads = {text}: must be different numbers from 1 to 256, the least first, as 1,4,20"
        )
    return found


def check(config: Config, options: Mapping[str, Any]) -> Config:
    """Refuse what cannot be run before anything is."""
    numbers(options["threads"])
    return config


@scenario(ms=20, cpus=20, mutex="spinbit", platform="plan9/amd64", configure=check)
async def chan_contended(
    world: World,
    *,
    iterations: Annotated[int, "of 100 sends and 100 receives, of all Ms", Range(1, 200)] = 20,
    threads: Annotated[str, "numbers of Ms to compare, the least first"] = "1,2,3,4,8,12,16,20",
    work_ns: Annotated[int, "of a send under the lock, in ns", Range(0, 10**6)] = 3,
    think_ns: Annotated[int, "between two sends, in ns", Range(0, 10**6)] = 2,
) -> None:
    """Ms send and receive on one channel: futex collapses, spinbit levels off. See the table."""
    counts = numbers(threads)

    async def program(world: World) -> None:
        lock = world.mutex("hchan.lock")
        left = iterations * 2 * SENDS

        async def worker(m: M) -> None:
            nonlocal left
            done = 0
            while left > 0:
                left -= 1
                if not left:
                    took_ns[:] = [world.engine.now_ns]  # Ms that still wait are not the load's
                site = "runtime.chansend" if done % (2 * SENDS) < SENDS else "runtime.chanrecv"
                done += 1
                await lock.lock(site)
                await COUNTERS
                await SLOT
                await m.compute(work_ns)
                await lock.unlock(site)
                await m.compute(think_ns)

        async with world.open_ms() as ms:
            for _ in range(world.ms):
                ms.start_soon(worker)

    took_ns = [0]
    await program(world)
    ns: dict[str, list[float]] = {"futex": [], "spinbit": []}
    for mutex, line in ns.items():
        for ms in counts:
            world.aside(program, mutex=mutex, ms=ms)
            line.append(max(took_ns[0], 1) / (iterations * 2 * SENDS))
            await world.main.pause()
    report(world, counts, ns)


def report(world: World, counts: list[int], ns: dict[str, list[float]]) -> None:
    """Say what came out, beside what was published."""
    rows = []
    measured = {mutex: channel_ns(mutex) for mutex in ns}
    for i, ms in enumerate(counts):
        row = [str(ms)]
        for mutex, line in ns.items():
            alone = measured[mutex].get(counts[0], inf)
            server = {n: each / alone for n, each in measured[mutex].items() if alone < inf}
            row += [f"{line[i]:.1f}", f"{line[i] / line[0]:.1f}"]
            for published in (server, PUBLISHED_AMD64[mutex], PUBLISHED_ARM64[mutex]):
                row.append(f"{published[ms]:.1f}" if ms in published else "-")
        rows.append([*row, f"{ns['futex'][i] / ns['spinbit'][i]:.2f}"])
    each = ["ns", "slower", "server-16", "#68578", "#75261"]
    head = ["Ms", *(f"{mutex} {name}" for mutex in ns for name in each), "ratio"]
    world.result("ns of a send or receive, how many times slower than alone", table(head, rows))
    world.result(
        "sends and receives in a us", plot(
            [str(ms) for ms in counts],
            {mutex: [1000 / value for value in line] for mutex, line in ns.items()},
            unit="1/us",
        ),
    )  # fmt: skip
    for mutex, line in ns.items():
        world.result(f"{mutex} ns with {counts[-1]} Ms", round(line[-1], 1))
        world.result(f"{mutex} times slower than with {counts[0]}", round(line[-1] / line[0], 2))
    ratio = ns["futex"][-1] / ns["spinbit"][-1]
    world.result(f"futex over spinbit with {counts[-1]} Ms", round(ratio, 2))
    world.result("what does not fit", MISFIT)


if __name__ == "__main__":
    chan_contended.main()
