"""The engine that holds other engines: Ray spreads them over the GPUs and machines of a cluster.

Every worker is one engine of ours in a process of Ray's. Prompts are read here in bounds and handed out ahead of the
answers, which come back as they are finished; what a dead worker had is asked again elsewhere. Ray decides where
workers run; one process, this one, writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.engine.base import EngineRequest, does_without_model
from harness.engine.determinism import Promise, Settled
from harness.engine.ray_cluster import Cluster
from harness.engine.ray_layout import choose_layout
from harness.engine.ray_options import OWN, RayOptions, inner_class, read_options
from harness.engine.ray_pool import News, Pool
from harness.engine.ray_work import Work
from harness.engine.ray_worker import unheard
from harness.engine.ready import check_packages
from harness.errors import EngineError, HarnessError, UsageError
from harness.types import EngineInfo, Generation, Prompt

_HOPELESS = 8
"""So many losses of one worker with no answer between them mean that nothing works any more; a machine takes all of its
workers with it at once, so that as many more may follow as there are other workers."""

_SPREAD = (
    "The same texts where a prompt's answer depends on which prompts are computed beside it, or on the processor, GPU or "
    "number of threads of its worker: which worker answers a prompt, and with which others, changes from run to run."
)


class RayEngine:
    """Engines in the workers of a Ray cluster, as one. See `harness.engine.base.Engine`."""

    @staticmethod
    def read_options(options: Mapping[str, str]) -> RayOptions:
        """Return the options, those of the engine inside checked as well. Raises UsageError."""
        read = read_options(options)
        inner = getattr(inner_class(options), "read_options", None)
        if inner is not None:
            try:
                inner(read.inner)
            except UsageError as error:
                raise _with_own_options(error, read.inner) from None
        return read

    def __init__(self, request: EngineRequest) -> None:
        """Connect to the cluster, or start one here, and build the inner engine in every worker.

        Raises UsageError (options, workers that do not fit), MissingDependency, EngineError (no cluster, no room,
        workers that disagree), and what the inner engine raises when it is built.
        """
        options = read_options(request.options)
        inner = inner_class(request.options)
        check_packages("ray", request.options)
        self._ahead = options.ahead
        self._reply = request.reply
        self._closed = False
        self._cluster = Cluster(options.address)
        try:
            layout = choose_layout(
                options,
                self._cluster.machines(),
                gpus=_gpus(inner, options.inner),
                can_grow=self._cluster.can_grow,
            )
            self._pool = Pool(
                self._cluster.ray,
                options.engine,
                _sent(request, options.inner),
                layout,
                wait_s=options.wait_s,
                on_event=request.on_event,
            )
            self._pool.open()
        except UsageError as error:
            self.close()
            raise _with_own_options(error, options.inner) from None
        except BaseException:
            self.close()
            raise
        machines = self._pool.hosts()
        on = f" on {machines} machines" if machines > 1 else ""
        self._where = f"{self._pool.workers} ray worker{'s' if self._pool.workers > 1 else ''}{on}"

    @staticmethod
    def does_without_model(options: Mapping[str, str]) -> bool:
        """Return whether the inner engine does."""
        return does_without_model(inner_class(options), options)

    @staticmethod
    def deterministic(request: EngineRequest) -> Settled:
        """Return the request for workers that settle for themselves; what they promise is known once they are up."""
        return Settled(request=replace(request, deterministic=True), promise=Promise())

    @property
    def promise(self) -> Promise | None:
        """What is promised of a deterministic run: what every worker promises, of workers that are alike."""
        workers = self._pool.promise
        if workers is None or not workers.promised:
            return workers
        return replace(workers, not_promised=(*workers.not_promised, _SPREAD))

    def info(self) -> EngineInfo:
        """Return who generates now: the inner engine. That Ray carries it is a circumstance like the device."""
        self._check_open()
        info = self._pool.info
        versions = {**info.versions, "ray": self._cluster.ray.__version__}
        return replace(info, device=f"{info.device}, {self._where}", versions=versions)

    def use_adapter(self, adapter: Path | None) -> None:
        """Activate one of the requested adapters in every worker, or the bare base."""
        self._check_open()
        self._pool.use_adapter(adapter)

    def generate(self, prompts: Iterable[Prompt]) -> Iterator[Generation]:
        """Yield one generation per prompt, as they come back from the workers.

        A prompt that ends every worker it is given to is an `error`. Raises EngineError when workers are lost one after
        another. Closing the iterator early ends the workers that are at work; the next call starts others.
        """
        self._check_open()
        self._pool.revive()
        work = Work(prompts, self._pool.workers, self._ahead)
        lost = 0
        try:
            while not work.finished():
                for slot in self._pool.free():
                    lot = work.next_for(slot.share)
                    if lot or slot.share.count:
                        self._pool.exchange(slot, lot)
                news = self._pool.news()
                if news is None:
                    continue
                for generation in _answers(work, news):
                    if generation.status != "error":
                        lost = 0
                    yield generation
                if news.lost is not None:
                    lost += 1
                    if lost >= _HOPELESS + self._pool.workers - 1:
                        raise _hopeless(news.lost, lost)
                    for generation in work.take_back(news.slot.share, news.lost.what):
                        lost = 0
                        yield generation
            self._pool.settle()
        finally:
            self._pool.abandon()

    def close(self) -> None:
        """End the workers, and the connection if it was opened here."""
        if self._closed:
            return
        self._closed = True
        close = getattr(self._reply, "close", None)
        if close is not None:
            close()
        try:
            if hasattr(self, "_pool") and self._cluster.ray.is_initialized():
                self._pool.close()
        finally:
            self._cluster.close()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("the engine is closed")


def _sent(request: EngineRequest, options: Mapping[str, str]) -> EngineRequest:
    """Return the request as it travels to workers, which may have another working folder."""
    path = request.model_path.absolute() if request.model_path is not None else None
    return replace(request, options=dict(options), on_event=unheard, model_path=path)


def _answers(work: Work, news: News) -> Iterator[Generation]:
    """Yield what a worker answered. Raises its error where asking another worker would not help, and EngineError for
    answers that are not to its prompts, or too few."""
    if news.reply is None:
        return
    share = news.slot.share
    for generation in news.reply.generations:
        if not work.answered(share, generation.key):
            raise EngineError(f"the engine answered {generation.sample_id!r}, which it was not asked")
        yield generation
    if news.lost is None and news.reply.error is not None:
        raise news.reply.error
    if news.lost is None and news.reply.idle and share.count:
        raise EngineError(f"the engine ended without answering {share.count} prompts")


def _gpus(inner: Any, options: Mapping[str, str]) -> int:
    """Return how many GPUs one engine takes where there are some: none where it computes elsewhere."""
    if not getattr(inner, "NEEDS_WEIGHTS", True):
        return 0
    return int(inner.gpus(options)) if hasattr(inner, "gpus") else 1


def _hopeless(error: HarnessError, lost: int) -> EngineError:
    return EngineError(
        f"{lost} workers were lost one after another; the last: {error.what}",
        where=error.where,
        remedy=error.remedy
        or "What was finished is kept. Ray's logs are in /tmp/ray/session_latest/logs on each machine.",
    )


def _with_own_options(error: UsageError, inner: Mapping[str, str]) -> UsageError:
    """Return the error, naming Ray's own options where it is about an option that the inner engine does not know."""
    if not any(f"has no option {name!r}" in error.what for name in inner):
        return error
    remedy = f"{error.remedy or ''} Options of ray itself: {', '.join(OWN)}.".strip()
    return type(error)(error.what, where=error.where, remedy=remedy)
