"""The end of a run whose tasks have not ended: each is cancelled, and runs to its end unseen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import outcome
from trio._core._traps import CancelShieldedCheckpoint, WaitTaskRescheduled

from gorun_mem.explore.controlled.seam import CONTEXT, ControlledRunner, TrioTask
from gorun_mem.machine.coroutine import unwind
from gorun_mem.machine.outcome import RunStopped

STEPS_MAX: Final = 2_000
"""Steps that the tasks may make between them; those that are left then are closed by force."""


def unwind_all(runner: ControlledRunner, root: TrioTask, tasks: Iterable[TrioTask]) -> None:
    """Let no task of a run live on.

    Args:
        runner: of the run.
        root: stands for trio's init task.
        tasks: those that have not ended.
    """
    left = list(tasks)
    if left:
        _run_out(runner, root)
    for task in list(runner.tasks):
        if task is not root:
            unwind(task.coro)
        for nursery in task._child_nurseries:
            nursery._children.clear()
        task._child_nurseries.clear()
        task._activate_cancel_status(None)
    runner.tasks.clear()
    root.coro.close()
    for generator in list(runner.asyncgens.alive):
        _close(generator.aclose())


def _run_out(runner: ControlledRunner, root: TrioTask) -> None:
    """Cancel all, and run them to their ends."""
    ready: list[TrioTask] = [task for task in runner.tasks if task._next_send_fn is not None]
    ready = sorted((task for task in ready if task is not root), key=_by_age)
    runner.runq._wake = ready.append  # type: ignore[attr-defined]
    for nursery in root._child_nurseries:
        nursery.cancel_scope.cancel()
    for _ in range(STEPS_MAX):
        while ready:
            task = ready.pop(0)
            if task in runner.tasks and task._next_send_fn is not None:
                break
        else:
            return
        _step(runner, task, ready)


def _step(runner: ControlledRunner, task: TrioTask, ready: list[TrioTask]) -> None:
    send, value = task._next_send_fn, task._next_send
    task._next_send_fn = task._next_send = None
    CONTEXT.task = task
    assert send is not None
    end: outcome.Outcome[Any]
    try:
        message: Any = task.context.run(send, value)
    except StopIteration:
        end = outcome.Value(None)
    except BaseException as error:
        end = outcome.Error(error)
    else:
        if message is CancelShieldedCheckpoint:
            runner.reschedule(task)
        elif type(message) is WaitTaskRescheduled:
            task._abort_func = message.abort_func
            task._attempt_delivery_of_any_pending_cancel()
        else:
            task._next_send_fn, task._next_send = task.coro.throw, RunStopped()
            ready.append(task)
        return
    finally:
        del CONTEXT.task
    try:
        runner.task_exited(task, end)
    except BaseException:
        runner.tasks.discard(task)


def _close(closing: Any) -> None:
    """Let an async generator end; it may not wait for anything any more."""
    try:
        closing.send(None)
        closing.throw(RunStopped())
    except BaseException:
        pass


def _by_age(task: TrioTask) -> int:
    return task._counter
