"""Where points are evaluated: processes of this machine, or a cluster, by joblib's backends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from threading import Event, Thread
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from bnnhw.ir.errors import BnnhwError

TIMEOUT_SECONDS = 10
"""For a scheduler to answer, and for its first worker."""
ABSENCE_SECONDS = 600
"""Without any worker, after which a cluster is given up; its nannies and its operator have as long."""
WATCH_SECONDS = 5
Options = Callable[[], dict[str, Any]]
"""What a `joblib.Parallel` is made with; called anew for each."""


def pool_of(cluster: str | None, jobs: int | None, points: int) -> AbstractContextManager[Options]:
    """The pool at the address `cluster` (dask://, tcp://, tls://, ray://), else `jobs` processes here, one a core if None.

    More processes than `points` are not started, but for a second, since one alone would be the caller's own.
    Errors: BnnhwError for an address that is none, where nobody answers, or whose package is missing.
    """
    if cluster is not None and jobs is not None:
        raise BnnhwError("explore: a cluster has as many jobs as it has cores; give --jobs or --cluster")
    if jobs is not None and jobs < 1:
        raise BnnhwError(f"explore: {jobs} jobs evaluate nothing; give at least 1")
    _require("joblib", "explore")
    if cluster is None:
        return _processes(-1 if jobs is None else min(jobs, max(2, points)))
    scheme = _scheme(cluster)
    if scheme == "ray":
        _require("ray", f"cluster {cluster!r}", "pip install 'ray[default]'")
        return _ray(cluster)
    _require("distributed", f"cluster {cluster!r}")
    return _dask(cluster, cluster.replace("dask://", "tcp://", 1))


def _scheme(cluster: str) -> str:
    """Of an address with host and port. Errors: BnnhwError."""
    try:
        parts = urlsplit(cluster)
        if parts.scheme in ("dask", "tcp", "tls", "ray") and parts.hostname and parts.port:
            return parts.scheme
    except ValueError:  # a port that is no number
        pass
    raise BnnhwError(f"cluster {cluster!r}: is no address of a cluster; give dask://host:port or ray://host:port")


def _require(package: str, who: str, remedy: str = "pip install 'bnnhw[explore]'") -> None:
    if find_spec(package) is None:
        raise BnnhwError(f"{who}: needs {package}; {remedy}")


@contextmanager
def _processes(jobs: int) -> Iterator[Options]:
    yield lambda: {"backend": "loky", "n_jobs": jobs}


@contextmanager
def _dask(cluster: str, address: str) -> Iterator[Options]:
    from distributed import Client

    from bnnhw.explore.dask_pool import Backend

    try:
        client = Client(address, timeout=TIMEOUT_SECONDS, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as e:
        reason = " ".join(str(e).split())[:120] or type(e).__name__
        raise BnnhwError(f"cluster {cluster!r}: no scheduler answers there ({reason}); start one with dask scheduler, or mend the address") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT_SECONDS)
        except TimeoutError:
            raise BnnhwError(f"cluster {cluster!r}: has no worker after {TIMEOUT_SECONDS} s; start one with dask worker {address}") from None
        ended = Event()
        Thread(target=watch, args=(client, ended), daemon=True).start()
        try:
            yield lambda: {"backend": Backend(client=client)}
        finally:
            ended.set()


def watch(client: Any, ended: Event) -> None:
    """Close a Dask client whose cluster is long without workers, so that the points fail in place of waiting for ever."""
    seen = monotonic()
    while not ended.wait(WATCH_SECONDS):
        try:
            if client.ncores():
                seen = monotonic()
        except Exception:  # the scheduler does not answer: the client itself sees to that
            return
        if monotonic() - seen > ABSENCE_SECONDS:
            client.close()
            return


@contextmanager
def _ray(cluster: str) -> Iterator[Options]:
    import ray
    from ray.util.joblib import register_ray

    try:
        ray.init(address=cluster, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, RuntimeError) as e:
        reason = " ".join(str(e).split())[:120] or type(e).__name__
        raise BnnhwError(f"cluster {cluster!r}: nobody answers there ({reason}); start it with ray start --head") from None
    try:
        register_ray()
        cores = int(ray.cluster_resources().get("CPU", 0))
        if cores < 2:  # joblib would evaluate here, not there
            raise BnnhwError(f"cluster {cluster!r}: has {cores} CPUs, at least 2 are needed; add workers")
        yield lambda: {"backend": "ray", "n_jobs": cores, "return_as": "list"}
    finally:
        ray.shutdown()
