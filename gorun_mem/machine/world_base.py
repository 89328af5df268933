"""What a World is made of: settings, engine, locks, and its runtime when that is asked for.

Apart from `World` so that it can be compiled: a search makes thousands, and each call of an M asks
one for its runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mypy_extensions import mypyc_attr

from gorun_mem.machine.config import Config, Resolved, resolve
from gorun_mem.machine.lifecycle import Lifecycle
from gorun_mem.machine.m import AccessM, M
from gorun_mem.policies import policy_parts, policy_release
from gorun_mem.runtime.boot import PLAIN, BootOptions, Parts, Runtime, boot, brk_limit
from gorun_mem.runtime.mutex import make as make_mutex
from gorun_mem.runtime.mutex.rank import LEAF
from gorun_mem.step import streams
from gorun_mem.step.engine import Engine
from gorun_mem.step.pinned import PinnedEngine
from gorun_mem.step.strategies import REPLAY, make_strategy
from gorun_mem.step.timing import TimingEngine

if TYPE_CHECKING:
    from gorun_mem.events.recorder import Recorder
    from gorun_mem.runtime.mutex import StateMutex

Result = bool | int | float | str
"""What a scenario may say that it found."""

MEMLOCK: Final = "memlock"
HEAP_LOCK: Final = "mheap"
"""The name of mheap.lock, and of its rank."""


@mypyc_attr(allow_interpreted_subclasses=True)
class WorldBase:
    """The part of a `World` that every run pays for; its arguments and attributes are told there.

    Raises:
        ConfigError: a setting is out of range, or two do not go together.
        UnknownRelease: no such release, or no such platform in it.
        UnknownMutex, UnknownStrategy: no such mutex or strategy.
    """

    __slots__ = ("_memlock", "config", "driver", "engine", "ms", "recorder", "results", "settings")

    def __init__(
        self,
        config: Config | Resolved | None = None,
        *,
        recorder: Recorder | None = None,
        name: str = "world",
        engine: Engine | None = None,
        **settings: Any,
    ) -> None:
        if settings or not isinstance(config, Resolved):
            asked = config.config if isinstance(config, Resolved) else config or Config()
            config = resolve(asked.but(**settings) if settings else asked)
        self.settings: Resolved = config
        self.config = asked = config.config
        self.ms = asked.ms
        self.recorder = recorder
        self.engine = engine = engine or _make_engine(asked)
        engine.spurious = "spurious" in asked.faults
        self.results: dict[str, Result] = {}
        self._memlock: StateMutex | None = None
        make_m: type[M] = AccessM if asked.granularity == "access" else M
        self.driver = Lifecycle(self, engine, recorder, make_m, name)

    @property
    def main(self) -> M:
        """M 0, the scenario itself."""
        return self.driver.main

    @property
    def failure(self) -> BaseException | None:
        """What ended the run badly; None so far."""
        return self.driver.failure

    # The runtime is booted when it is first asked for: a search makes thousands of Worlds, and many
    # of what it explores never touch the memory.

    @property
    def memlock(self) -> StateMutex:
        """The mutex around the OS layer."""
        lock = self._memlock
        if lock is None:
            lock = self._memlock = self.driver.mutexes[MEMLOCK] = self._make_mutex(MEMLOCK)
        return lock

    @property
    def runtime(self) -> Runtime:
        """Memory, OS layer, mem.go and the heap."""
        return self.driver.runtime or self._booted()

    def _booted(self) -> Runtime:
        runtime = self.driver.runtime
        if runtime is None:
            runtime = self.driver.runtime = self._boot()
            for observer in self.driver.observers:
                observer.booted(runtime)
        return runtime

    @property
    def is_booted(self) -> bool:
        """Whether anything has asked for the runtime."""
        return self.driver.runtime is not None

    def shares(self, other: WorldBase) -> None:
        """It is to be `other` under another face: the same settings, engine, Ms, runtime."""
        self.settings, self.config, self.ms = other.settings, other.config, other.ms
        self.engine, self.driver, self.recorder = other.engine, other.driver, other.recorder
        self._memlock, self.results = other._memlock, other.results

    @property
    def mutexes(self) -> dict[str, StateMutex]:
        """Every lock by name, the runtime's own first."""
        self._booted()  # which makes its locks
        return self.driver.mutexes

    def mutex(self, name: str) -> StateMutex:
        """The runtime mutex called `name`, made at the first call, of the World's algorithm."""
        if name not in self.driver.mutexes:
            if name in (MEMLOCK, HEAP_LOCK):
                return self.mutexes[name]
            self.driver.mutexes[name] = self._make_mutex(name)
        return self.driver.mutexes[name]

    # Inside.

    def _make_mutex(self, name: str, rank: str = LEAF) -> StateMutex:
        return make_mutex(
            self.settings.lock,
            self.settings.release,
            lock_name=name,
            rank=rank,
            sink=self.recorder,
            spurious="spurious" in self.config.faults,
        )

    def _boot(self) -> Runtime:
        config = self.config
        memlock = self.memlock
        heap_lock = self.driver.mutexes[HEAP_LOCK] = self._make_mutex(HEAP_LOCK, HEAP_LOCK)
        release, parts = self.settings.release, _parts(config.granularity)
        if self.settings.policy is not None:
            policy = self.settings.policy()
            release, parts = policy_release(policy, release), policy_parts(policy)
        runtime = boot(
            release,
            self.settings.platform,
            BootOptions(
                end=config.data_end,
                initial_pages=config.initial_pages,
                max_pages=config.max_pages,
                brk_max=brk_limit(config.max_pages),
                mem_debug=config.mem_debug,
                faithful=config.faithful,
                wrong_order=config.wrong_order,
            ),
            memlock=memlock,
            sink=self.recorder,
            parts=parts,
        )
        runtime.os.whoami = self.driver.current_m
        runtime.os.charge = self.engine.charge
        runtime.heap_lock = heap_lock
        if "grow" in config.faults:
            runtime.memory.refuse = self._refuses_growth
        return runtime

    def _refuses_growth(self) -> bool:
        """A growth that the schedule lets fail."""
        return self.engine.choice(self.engine.current or self.driver.main, 2, "fault.grow") == 1


def _parts(granularity: str) -> Parts:
    """What the runtime is made of."""
    if granularity == "sync":
        return PLAIN
    from gorun_mem.runtime import access  # it needs greenlet

    return access.PARTS


def _make_engine(config: Config) -> Engine:
    strategy = make_strategy(config.strategy, config.seed, config.schedule)
    drawn = streams.Streams(config.seed) if config.strategy != REPLAY else None
    if config.strategy == "timing":
        kind = PinnedEngine if config.costs.pinned else TimingEngine
        return kind(
            strategy,
            config.seed,
            costs=config.costs,
            cpus=config.cpus,
            steps_max=config.steps_max,
            streams=drawn,
        )
    return Engine(
        strategy, costs=config.costs, cpus=config.cpus, steps_max=config.steps_max, streams=drawn
    )
