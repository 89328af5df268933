"""What decides how a World runs; everything that `run.start` names."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from importlib.util import find_spec
from typing import Any, Final, Literal

from gorun_mem._near import no_such
from gorun_mem.locks import Mutex, StateMutex, load_mutex, name_of
from gorun_mem.policies import MakePolicy, Policy, UnknownPolicy, load_policy, policy_name
from gorun_mem.runtime.behaviour import NEWEST, WASM_PAGE, Platform, Release, WasmBreak, release
from gorun_mem.runtime.boot import DATA_END, MAX_PAGES, BootOptions, check_start
from gorun_mem.runtime.errors import NotInstantiable
from gorun_mem.runtime.mutex import default_mutex
from gorun_mem.step.costs import CostTable
from gorun_mem.step.engine import STEPS_MAX

Host = Literal["trio", "trampoline"]
MS_MAX: Final = 4096
CPUS_MAX: Final = 1024
GRANULARITIES: Final = ("sync", "access")
MEMORIES: Final = ("sc", "tso")
FAULTS: Final = ("grow", "spurious", "timeout", "cancel")
"""memory.grow or brk is refused; a sleep on a futex ends by itself."""


class ConfigError(ValueError):
    """A setting out of range or one that does not go with another; the message says which."""


class DoesNotFit(ConfigError):
    """The program's memory is larger at the start than `max_pages`: it never runs.

    Args:
        error: both figures.
    """

    def __init__(self, error: NotInstantiable) -> None:
        super().__init__(f"{error} (--max-pages)")
        self.needed = error.needed
        self.limit = error.limit


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one run; None where the default depends on others.

    Args:
        release: Go release, such as "go1.24.3"; the newest if None.
        platform: such as "plan9/amd64"; if None js/wasm for one M and plan9/amd64 for more.
        mutex: which runtime mutex memlock is: a name, "FILE.py:Class", or a class of
            `gorun_mem.locks`; if None the one that release and platform have.
        policy: how free memory is searched and the break is moved: a name, "FILE.py:Class", or a
            class of `gorun_mem.policies`; Go's own free list if None.
        ms: how many Ms the scenario starts.
        cpus: how many of them run at once.
        seed: of everything that is left to chance.
        strategy: who goes next.
        granularity: "sync": Ms meet at lock and unlock; "access": at every access of the allocator,
            for which there must be no mutex.
        max_pages: pages of 64 KiB that the memory may have, or the break may reach: the machine's
            limit. A program that starts with more is none that can run. As many as a linear memory
            can have are no limit to a break.
        data_end: end of the program's data in bytes.
        initial_pages: pages the wasm memory starts with; -1 as the linker would have it.
        mem_debug: Go's memDebug.
        faithful: do what Go does with an illegal free, in place of refusing it.
        wrong_order: run osinit with initBloc before physPageSize.
        steps_max: steps after which a run counts as without progress.
        costs: what a step costs in virtual time.
        faults: what may go wrong at the schedule's choice, of FAULTS.
        memory: what a search lets memory do: "sc", sequentially consistent, or "tso", where each M
            has a store buffer as on x86. A plain run empties the buffer after every store.
        schedule: the token that strategy "replay" follows.
    """

    release: str | None = None
    platform: str | None = None
    mutex: str | type[Mutex] | type[StateMutex] | None = None
    policy: str | type[Policy] | None = None
    ms: int = 4
    cpus: int = 4
    seed: int = 0
    strategy: str = "timing"
    granularity: str = "sync"
    max_pages: int = MAX_PAGES
    data_end: int = DATA_END
    initial_pages: int = -1
    mem_debug: bool = False
    faithful: bool = False
    wrong_order: bool = False
    steps_max: int = STEPS_MAX
    costs: CostTable = field(default_factory=CostTable)
    faults: tuple[str, ...] = ()
    memory: str = "sc"
    schedule: str = ""

    def __post_init__(self) -> None:
        """Name a lock and a policy that are given as classes.

        Raises:
            MutexFileError: the class is no lock.
            ConfigError: the class is no policy.
        """
        if isinstance(self.mutex, type):
            object.__setattr__(self, "mutex", name_of(self.mutex))
        if isinstance(self.policy, type):
            try:
                object.__setattr__(self, "policy", policy_name(self.policy))
            except UnknownPolicy as error:
                raise ConfigError(str(error)) from None

    @property
    def mutex_name(self) -> str:
        """The lock's name or reference, "" where it is left to release and platform."""
        return str(self.mutex or "")

    @property
    def policy_name(self) -> str:
        """The policy's name or reference, "" where it is Go's own."""
        return str(self.policy or "")

    def but(self, **changes: Any) -> Config:
        """This, with some settings changed; a None changes nothing.

        Raises:
            ConfigError: there is no such setting.
        """
        names = [setting.name for setting in fields(self)]
        for name in changes:
            if name not in names:
                raise ConfigError(no_such("setting", name, names))
        return replace(self, **{k: v for k, v in changes.items() if v is not None})

    def check(self) -> Config:
        """This, if a World can be made with it.

        Raises:
            ConfigError, UnknownRelease, UnknownMutex: as `resolve` does.
        """
        resolve(self)
        return self


@dataclass(frozen=True, slots=True)
class Resolved:
    """A Config whose defaults are filled in and whose parts go together.

    Args:
        lock: the class of the mutex.
        policy: makes the allocator's policy; None for Go's own free list.
        what_if: no Go release runs so: several Ms on wasm, a mutex that it does not have there, or
            a policy.
    """

    config: Config
    release: Release
    platform: Platform
    mutex: str
    lock: type[StateMutex]
    policy: MakePolicy | None
    what_if: bool


def resolve(config: Config) -> Resolved:
    """Fill in the defaults of `config` and check it.

    Raises:
        ConfigError: a setting is out of range, or two do not go together.
        DoesNotFit: the program starts with more memory than there may be.
        UnknownRelease: no such release, or no such platform in it.
        UnknownMutex: no such mutex, or a file's that cannot be used.
    """
    _in_range("ms", config.ms, 1, MS_MAX)
    _in_range("cpus", config.cpus, 1, CPUS_MAX)
    _in_range("max_pages", config.max_pages, 1, MAX_PAGES)
    _in_range("steps_max", config.steps_max, 1, 1 << 62)
    if config.granularity not in GRANULARITIES:
        raise ConfigError(
            f"no granularity {config.granularity!r}: Ms meet at lock and unlock (sync), or at "
            "every access of the allocator (access)"
        )
    if config.memory not in MEMORIES:
        raise ConfigError(
            f"no memory {config.memory!r}: it is sc, sequentially consistent, or tso, with a store "
            "buffer for each M as on x86"
        )
    for fault in config.faults:
        if fault not in FAULTS:
            raise ConfigError(no_such("fault", fault, FAULTS, there="the faults are"))
    known = release(config.release or NEWEST)
    platform = known.platform(config.platform or ("js/wasm" if config.ms == 1 else "plan9/amd64"))
    usual = default_mutex(known, platform.name, config.ms)
    mutex = config.mutex_name or usual
    lock = load_mutex(config.mutex or usual)
    if config.ms > 1 and not lock.several_ms:
        raise ConfigError(
            f"mutex {mutex!r} knows one M and there are {config.ms}: run one M (--ms 1), or take "
            "sema, spinbit, futex or queue"
        )
    policy = _policy(config, known, platform)
    if config.granularity == "access":
        _check_access(known, platform, mutex, lock)
    if config.memory == "tso":
        _check_tso(config)
    _check_memory(config, known, platform)
    what_if = (platform.is_wasm and config.ms > 1) or mutex != usual or policy is not None
    return Resolved(config, known, platform, mutex, lock, policy, what_if)


def _policy(config: Config, known: Release, platform: Platform) -> MakePolicy | None:
    """What makes the policy that is asked for, where there is a free list for it to be."""
    if not config.policy:
        return None
    if platform.is_wasm and known.behaviour.wasm_break is WasmBreak.RESERVE_END:
        raise ConfigError(
            f"policy {config.policy}: {known.name} on {platform.name} has no free list; take "
            "go1.21 or later, or plan9/amd64"
        )
    if config.granularity == "access":
        raise ConfigError(
            f"policy {config.policy} with granularity access: a policy keeps its blocks beside the "
            "memory, so it has no accesses to interleave; take --granularity sync"
        )
    try:
        return load_policy(config.policy)
    except UnknownPolicy as error:
        raise ConfigError(f"policy: {error}") from None


def _check_memory(config: Config, known: Release, platform: Platform) -> None:
    """Whether a program can start with that memory."""
    if config.initial_pages > 0 and not platform.is_wasm:
        raise ConfigError(
            f"initial_pages = {config.initial_pages} on {platform.name}: only wasm memory starts "
            "with pages, a break with the program's data; leave it out, or take platform js/wasm"
        )
    try:
        check_start(
            known,
            platform,
            BootOptions(
                end=config.data_end,
                initial_pages=config.initial_pages,
                max_pages=config.max_pages,
                brk_max=config.max_pages * WASM_PAGE,
            ),
        )
    except NotInstantiable as error:
        raise DoesNotFit(error) from None
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check_access(known: Release, platform: Platform, mutex: str, lock: type[StateMutex]) -> None:
    """Whether the accesses of the allocator can be, and are worth, interleaving."""
    if lock.excludes:
        raise ConfigError(
            f"granularity access with mutex {mutex}: no two Ms are ever inside a lock, so there is "
            "nothing to interleave that sync does not; take the lock away (--mutex none)"
        )
    if platform.is_wasm and known.behaviour.wasm_break is WasmBreak.RESERVE_END:
        raise ConfigError(
            f"granularity access: {known.name} on {platform.name} has no free list; take go1.21 or "
            "later, or plan9/amd64"
        )
    if find_spec("greenlet") is None:
        raise ConfigError(
            "granularity access needs greenlet, which is not installed: "
            "pip install 'gorun-mem[access]'"
        )


def _check_tso(config: Config) -> None:
    """Whether stores can be late."""
    if config.granularity == "access":
        raise ConfigError(
            "memory tso with granularity access: the allocator's own accesses are made to memory "
            "as they come, without a store buffer; take granularity sync, or memory sc"
        )
    if "cancel" in config.faults:
        raise ConfigError(
            "memory tso with fault cancel: only trio's tasks are cancelled, and a task of trio's "
            "has no store buffer; take one of the two"
        )


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} = {value}: must be from {low} to {high}")
