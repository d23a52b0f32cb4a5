"""joblib's Dask backend, mended where a worker dies; the one file that imports distributed at its top."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from distributed import KilledWorker
from joblib._dask import DaskDistributedBackend

from bnnhw.explore.evaluate import failed
from bnnhw.explore.points import Lost, Outcome


class Backend(DaskDistributedBackend):
    """The backend of `joblib.parallel_config(backend="dask")`, but for two cases.

    A task whose workers die again and again would never come back, and joblib would wait for ever: here it comes back
    as lost. A cluster of one core would be left idle, the tasks run by the client: here the cluster has them.
    """

    def effective_n_jobs(self, n_jobs: int) -> int:
        """Cores of the cluster, at least 2: with 1, joblib does not ask the backend. Errors: OSError where the client gave up."""
        if self.client.status == "closed":
            raise ConnectionError("the cluster has long been without workers")
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Future:
        """Give a batch to the scheduler; `callback` is told of its results also where there are none."""
        future = super().submit(func, callback)

        def tell(done: Future) -> None:
            error = done.exception()
            if error is not None and callback is not None:
                callback(_lost(func, error))

        future.add_done_callback(tell)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        """Results of a batch; the error where the scheduler forgot it."""
        if isinstance(out, BaseException):
            raise out
        return super().retrieve_result_callback(out)


def _lost(batch: Any, error: BaseException) -> list[Outcome]:
    """Failures for all of a batch."""
    tasks = [task for _, (task,), _ in batch.items]
    if isinstance(error, KilledWorker):
        return [Lost(t.key, t.point, "the workers that tried it died, also when it was tried alone; it may need more memory") for t in tasks]
    return [failed(t, f"the worker could not run it: {type(error).__name__}: {error}") for t in tasks]
