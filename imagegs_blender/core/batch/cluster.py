"""The files of a batch on other machines: a Dask cluster, whose workers need nothing of ours but this package, and Blender.

A task is one attempt at a file (engines.attempt), in a Blender of its own on the worker. A lost worker's tasks go to others;
what counts is the result that arrives, and only the coordinator gives outputs their names.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from .. import machine
from ..errors import ImageGSError, first_line
from ..version import PACKAGE, version
from . import child
from .child import Job, Result
from .engines import Tell, attempt

_ANSWER = 10
"""Seconds that a scheduler has to answer."""

_OURS = "imagegs_blender"

_ADDRESS = re.compile(r"((tcp|tls|wss?)://)?[^\s/]+:\d+")


class Cluster:
    """The workers of a scheduler. Raises ImageGSError where it does not answer, or a worker has other versions.

    wanted   versions that all must have: see versions()
    share    files at once on a machine, which share its cores
    """

    def __init__(self, address: str, wanted: Mapping[str, str], share: int, warn: Callable[[str], None]) -> None:
        if __name__.split(".")[0] != _OURS:
            raise ImageGSError(f"--scheduler needs {PACKAGE} in a Python; in it, pip install {PACKAGE}[blender,farm]")
        try:
            from distributed import Client
        except ImportError:
            raise ImageGSError(f"--scheduler needs Dask; pip install {PACKAGE}[farm]") from None
        if not _ADDRESS.fullmatch(address):
            raise ImageGSError(f"{address}: is no address of a scheduler; write tcp://HOST:8786")
        self._wanted, self._share, self._warn = dict(wanted), share, warn
        try:
            self._client = Client(address, timeout=_ANSWER, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise ImageGSError(
                f"{address}: no Dask scheduler answers ({first_line(error)}); start one, or mend the address"
            ) from error
        self._refused: set[str] = set()
        self._lock = threading.Lock()
        try:
            self._check()
        except BaseException:
            self._client.close()
            raise

    def has_room(self, busy: int) -> bool:  # noqa: ARG002  the scheduler has the queue
        return True

    def submit(self, job: Job, tell: Tell, end: Callable[[Result], None]) -> None:
        with self._lock:
            refused = set(self._refused)
        workers = None
        if refused:
            workers = [name for name in self._client.scheduler_info(n_workers=-1)["workers"] if name not in refused]
            if not workers:
                end({"status": "failed", "reason": "no worker of these versions is left; start some", "seconds": 0.0})
                return
        future = self._client.submit(work, job, self._wanted, self._share, workers=workers, pure=False)

        def ended(_: object) -> None:
            result = _result(future)
            if "refused" in result:
                with self._lock:
                    is_new = result["worker"] not in self._refused
                    self._refused.add(result["worker"])
                if is_new:
                    self._warn(f"{result['worker']}: refused: {result['refused']}")
                self.submit(job, tell, end)
            else:
                end(result)

        future.add_done_callback(ended)

    def close(self) -> None:
        self._client.close()

    def _check(self) -> None:
        answers = self._client.run(versions, on_error="return")
        if not answers:
            self._warn("no worker has come yet; waiting for some: dask worker ADDRESS --nthreads 1")
        for worker, answer in answers.items():
            if isinstance(answer, ModuleNotFoundError) and answer.name and answer.name.split(".")[0] == _OURS:
                raise ImageGSError(
                    f"{worker}: has no {PACKAGE}; pip install {PACKAGE}[blender,farm]=={version()} there"
                )
            if isinstance(answer, BaseException):
                raise ImageGSError(f"{worker}: can't be asked for its versions ({first_line(answer)}); see its log")
            if problem := _difference(answer, self._wanted):
                raise ImageGSError(f"{worker}: {problem}")


def versions() -> dict[str, str]:
    """Of this package, and of the bpy module that converts files on a worker."""
    try:
        return {PACKAGE: version(), "bpy": metadata.version("bpy")}
    except metadata.PackageNotFoundError:
        return {PACKAGE: version(), "bpy": "none"}


def work(job: Job, wanted: Mapping[str, str], share: int) -> Result:
    """On a worker: one attempt at a file, with its share of the cores; `refused` and `worker` where its versions are others."""
    from distributed import get_worker

    worker = get_worker()
    if problem := _difference(versions(), wanted):
        return {"refused": problem, "worker": worker.address}
    key = worker.get_current_task()

    def wanted_still() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state not in ("cancelled", "released", "forgotten")

    job = {**job, "threads": max(1, machine.cores() // share)}
    return attempt(child.module_launcher(), job, lambda _: None, wanted_still)


def _difference(found: Mapping[str, Any], wanted: Mapping[str, str]) -> str | None:
    """How a worker's versions differ, as a message."""
    for name, there in wanted.items():
        if found.get(name) != there:
            return f"has {name} {found.get(name)}, this is {there}; pip install {name}=={there} there"
    return None


def _result(future: Any) -> Result:
    """What came of a task, whatever it is."""
    nothing: Result = {"uses": [], "saved": None, "staged": None, "seconds": 0.0, "input": None}
    if future.cancelled():
        return {**nothing, "status": "failed", "reason": "was stopped before its end"}
    error = future.exception()
    if error is None:
        result: Result = future.result()
        return result
    if type(error).__name__ == "KilledWorker":
        return {**nothing, "status": "crashed", "reason": "its worker was lost again and again; see the workers' logs"}
    return {**nothing, "status": "failed", "reason": f"the worker failed ({first_line(error)}); see its log"}
