"""The same work for many items: in this process, in several, or on a Dask cluster; results in order, as they come."""

from __future__ import annotations

import gc
import importlib
import signal
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import cv2
from joblib import Parallel, delayed, parallel_config

from fourview.exam import SetupError

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 3  # items per worker that are waiting or done and not yet taken
IDLE_S = 20  # after which a process without work ends, also one whose run was killed
_CONNECT_S = 10


@dataclass(frozen=True)
class _OneThread(Generic[Item, Result]):
    """The work, with OpenCV kept to one thread: the workers share the processor among themselves."""

    work: Callable[[Item], Result]

    def __call__(self, item: Item) -> Result:
        cv2.setNumThreads(1)
        return self.work(item)


def spread(
    work: Callable[[Item], Result], items: Iterable[Item], *, jobs: int = 1, cluster: str | None = None
) -> Generator[Result]:
    """work(item) of each item, in order; few results are held at a time.

    jobs     processes of this machine; 1: this one
    cluster  address of a Dask scheduler, tcp://HOST:PORT, whose workers see the same files under the same paths;
             then `jobs` does not count

    Raises what `work` raises; SetupError if the cluster cannot be reached, or if workers die.
    """
    if cluster is not None:
        with _dask(cluster) as workers:
            yield from _parallel(work, items, jobs=workers, backend="dask")
    elif jobs == 1:
        yield from map(work, items)
    else:
        try:
            yield from _parallel(work, items, jobs=jobs, backend="loky")
        except BrokenProcessPool:
            raise SetupError(
                f"--jobs {jobs}: a worker process died (killed, or out of memory); run again with --resume, perhaps "
                "with fewer jobs"
            ) from None


def _parallel(work: Callable[[Item], Result], items: Iterable[Item], *, jobs: int, backend: str) -> Generator[Result]:
    stopped = False
    task = delayed(_OneThread(work))

    def feed() -> Iterator[Any]:
        for item in items:
            if stopped:
                return
            yield task(item)

    # Said from the thread that minds the processes: as an error (-W error) it would end that thread, and the run would
    # wait for ever. loky has started another process by itself.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs were given", UserWarning)
    own = {"idle_worker_timeout": IDLE_S, "initializer": _ignore_ctrl_c} if backend == "loky" else {}
    with parallel_config(backend=backend, **own):  # names dask too, which joblib learns of only here
        parallel = Parallel(
            n_jobs=jobs, return_as="generator", batch_size=1, pre_dispatch=AHEAD * jobs, max_nbytes=None
        )
    results = parallel(feed())
    try:
        for result in results:  # noqa: UP028 - yield from would close the results before what is under way has ended
            yield result
    except GeneratorExit:
        stopped = True
        for _ in results:
            pass
        raise


def _ignore_ctrl_c() -> None:
    """In a worker: a terminal interrupts all processes, and the first one alone decides when to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _dask(address: str) -> Iterator[int]:
    """A connection to the cluster; the number of its threads."""
    try:
        distributed: Any = importlib.import_module("distributed")
    except ImportError:
        raise SetupError(
            '--cluster needs the package distributed: pip install ".[cluster]" in fourview\'s checkout'
        ) from None
    client, problem = None, ""
    try:
        client = distributed.Client(address, timeout=_CONNECT_S)
    except (OSError, ValueError) as error:
        problem = type(error).__name__
    if client is None:
        gc.collect()  # what is left of a client hangs the start of the next one if it is freed during that
        raise SetupError(f"--cluster {address}: no Dask scheduler answers there ({problem}); need tcp://HOST:PORT")
    try:
        threads = sum(client.nthreads().values())
        if threads == 0:
            raise SetupError(f"--cluster {address}: the scheduler has no workers; start some first")
        yield threads
    except (distributed.KilledWorker, distributed.client.FutureCancelledError, OSError) as error:
        raise SetupError(
            f"--cluster {address}: lost its workers ({type(error).__name__}); run again with --resume"
        ) from None
    finally:
        client.close()
