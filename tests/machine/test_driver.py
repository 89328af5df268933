"""What a scenario sees of a World, and what drives it, are two things."""

from __future__ import annotations

from typing import Any

from gorun_mem import Config, World
from gorun_mem.machine.driver import Driver
from gorun_mem.machine.library import find
from gorun_mem.machine.trampoline import drive


def public(of: type) -> set[str]:
    return {name for name in dir(of) if not name.startswith("_")} | set(
        getattr(of, "__annotations__", {})
    )


def test_a_world_does_not_show_what_drives_it() -> None:
    """Of a Driver's names it has those that a scenario may ask for, and no other."""
    assert public(World) & public(Driver) <= {"main", "failure", "engine"}
    world = World(Config(ms=1))
    assert {name for name in public(Driver) if not hasattr(world.driver, name)} == set()


def host(driver: Driver, main: Any) -> None:
    """The least that a host must do: no fault of a program's is seen to here."""
    engine = driver.engine
    coros = {0: main}
    m = driver.start()
    while True:
        coro = coros.get(m.id)
        if coro is None:
            coro = coros[m.id] = driver.begin(m)
        try:
            engine.submit(m, coro.send(m.result))
        except StopIteration:
            driver.ended(m)
            if m is driver.main:
                return
        m = engine.advance()  # type: ignore[assignment]


def test_a_host_of_ones_own_needs_the_driver_only() -> None:
    """It sees no World, and runs the same schedule as the hosts of this package."""
    scenario = find("memlock_storm")
    config = scenario.config(ms=3, seed=5)
    worlds = [World(config), World(config)]
    host(worlds[0].driver, scenario.program(worlds[0], **scenario.check({"rounds": "5"})))
    drive(worlds[1].driver, scenario.program(worlds[1], **scenario.check({"rounds": "5"})))
    assert [world.failure for world in worlds] == [None, None]
    assert worlds[0].engine.steps == worlds[1].engine.steps > 100
    assert worlds[0].statistics() == worlds[1].statistics()
