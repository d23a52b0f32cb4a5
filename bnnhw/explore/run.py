"""All points of an exploration: those kept are taken, the others evaluated in parallel and kept; none stops the rest."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bnnhw.explore import folder as files
from bnnhw.explore.evaluate import failed, outcome
from bnnhw.explore.front import front
from bnnhw.explore.points import Choose, Evaluation, Failed, Lost, Outcome, Point, Result, Setting, Task
from bnnhw.explore.pools import Options, pool_of

PARALLEL_TRIES = 2
"""How often the pool may break while a point is in it; after that it is tried alone, so that none is blamed for another."""
PARTS = 4
"""Points a core in one call of a backend that gives its results all together."""
Progress = Callable[[int, int, int], None]
"""Told (points done, of them failed, of all)."""


@dataclass(frozen=True)
class Exploration:
    """What became of all points."""

    outcomes: tuple[Outcome, ...]
    """In the order of the points."""
    evaluated: int
    """How many were not kept from before."""

    @property
    def failed(self) -> tuple[Failed, ...]:
        """Those without a result."""
        return tuple(o for o in self.outcomes if isinstance(o, Failed))

    @property
    def front(self) -> tuple[Result, ...]:
        """The points that no other betters."""
        return front(self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a script."""
        best = {r.key for r in self.front}
        points = [{**files.described(o), "result": o.key, "front": o.key in best} for o in self.outcomes]
        return {"evaluated": self.evaluated, "failed": len(self.failed), "points": points}


def evaluate_all(
    network: bytes,
    points: Sequence[Point],
    folder: Path,
    *,
    evaluation: Evaluation,
    choose: Choose,
    jobs: int | None = None,
    cluster: str | None = None,
    progress: Progress | None = None,
) -> Exploration:
    """Evaluate all points of the network in a file's bytes that `folder` has no result of, and write results and tables into it.

    `jobs`, `cluster`: as for `pool_of`. Errors: BnnhwError for what concerns all points; ToolError where the evaluation's is missing.
    """
    pool = pool_of(cluster, jobs, len(points))
    setting = Setting(network, evaluation, choose, version("bnnhw"), evaluation.tool())
    tasks = [Task(setting.key(point), point, setting) for point in points]
    found: dict[str, Outcome] = {t.key: r for t in tasks if (r := files.kept(folder, t.key, t.point)) is not None}
    missing = [t for t in tasks if t.key not in found]

    failures = 0
    tell = progress or (lambda *_: None)
    tell(len(found), failures, len(tasks))
    if missing:
        with pool as options, warnings.catch_warnings(), closing(_outcomes(missing, options)) as arriving:
            files.prepare(folder)
            warnings.filterwarnings("ignore", module="joblib")  # of tasks cut off: those are tried again
            for one in arriving:
                found[one.key] = one
                if isinstance(one, Result):
                    files.keep(folder, one)
                else:
                    failures += 1
                tell(len(found), failures, len(tasks))
    done = Exploration(tuple(found[t.key] for t in tasks), len(missing))
    files.write(folder / "points.csv", files.table(done.outcomes))
    files.write(folder / "pareto.csv", files.table(done.front))
    return done


def _outcomes(tasks: Sequence[Task], options: Options) -> Generator[Outcome, None, None]:
    """Outcomes as they come. A pool that breaks is made anew for what is left; a point has failed when its worker dies while it is alone."""
    left, breaks = {t.key: t for t in tasks}, Counter[str]()
    while left:
        batch = [t for t in left.values() if breaks[t.key] < PARALLEL_TRIES] or [next(iter(left.values()))]
        given: set[str] = set()
        try:
            with closing(_parallel(batch, options, given)) as arriving:
                for one in arriving:
                    given.discard(one.key)
                    if isinstance(one, Lost) and breaks[one.key] < PARALLEL_TRIES:
                        breaks[one.key] = PARALLEL_TRIES
                        continue
                    del left[one.key]
                    yield one
        except Exception as e:  # no outcome: the pool itself broke
            breaks.update(given)
            if not given:  # it did not even start
                for task in left.values():
                    yield failed(task, f"nobody is there to evaluate it: {str(e) or type(e).__name__}")
                return
            if breaks[batch[0].key] > PARALLEL_TRIES:
                yield failed(left.pop(batch[0].key), f"its worker died, also when it was tried alone ({type(e).__name__}); it may need more memory")


def _parallel(tasks: Sequence[Task], options: Options, given: set[str]) -> Generator[Outcome, None, None]:
    """Outcomes of one pool, in the order in which they come; `given` gets the keys of what it was given."""
    from joblib import Parallel, delayed

    def feed(part: Sequence[Task]) -> Iterator[Any]:
        for task in part:
            given.add(task.key)
            yield delayed(outcome)(task)

    chosen = {"return_as": "generator_unordered", "batch_size": 1, "pre_dispatch": "n_jobs", **options()}
    if chosen["return_as"] == "list":  # all that this backend can: in parts, so that not all is lost with one
        size = PARTS * chosen["n_jobs"]
        for n in range(0, len(tasks), size):
            yield from Parallel(**chosen)(feed(tasks[n : n + size]))
        return
    with closing(Parallel(**chosen)(feed(tasks))) as arriving:
        yield from arriving
