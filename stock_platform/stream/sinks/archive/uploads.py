"""Upload archive objects, each in a thread, each step repeatable.

A step may be repeated after a crash or a lost response; whether it had
worked is read from the store itself (length and origin of what is there).
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from stock_platform.errors import TransientError
from stock_platform.stream.sinks.archive.state import ArchiveObject, ArchiveState, Naming
from stock_platform.stream.sinks.archive.store import (
    ArchiveStore,
    KeyExistsError,
    UploadNotFoundError,
)

log = structlog.get_logger(__name__)
THREADS = 2
RETRY_S = 0.5
RETRY_MAX_S = 15.0
SEQ_MAX = 999_999


@dataclass(slots=True)
class _UploadTask:
    """One object's upload: the step under way, and when the next may be tried."""

    future: "Future[None] | None" = None
    tries: int = 0
    next_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Uploads:
    """Moves the objects of `state` forward; `advance` is called often and never waits."""

    store: ArchiveStore
    naming: Naming
    state: ArchiveState
    spool: Path
    use_marker: bool
    error: str = ""
    completed: int = 0
    uploaded_bytes: int = 0
    _tasks: dict[int, _UploadTask] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(THREADS, thread_name_prefix="archive")
    )

    def advance(self, saved_generation: int) -> list[ArchiveObject]:
        """Start what can be started; return the objects that are now complete.

        An object is completed only after its sealing was saved in a checkpoint
        of a generation up to `remembered`: a crash then repeats the very same object.
        """
        done = []
        for obj in self.state.objects:
            task = self._tasks.setdefault(id(obj), _UploadTask())
            if task.future is not None:
                if not task.future.done():
                    continue
                if self._ended(task) and obj.sealed < 0:
                    done.append(obj)
                    del self._tasks[id(obj)]
                    continue
            if time.monotonic() >= task.next_at and self._has_work(obj, saved_generation):
                task.future = self._threads.submit(self._step, obj, saved_generation, task.tries)
        return done

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.store.close()

    def _has_work(self, obj: ArchiveObject, saved_generation: int) -> bool:
        if self.use_marker and not obj.marked:
            return True
        if 0 < obj.sealed <= saved_generation:
            return True
        return any(not part.etag for part in obj.parts) and not obj.sealed

    def _ended(self, task: _UploadTask) -> bool:
        ended, task.future = task.future, None
        error = ended.exception() if ended else None
        if error is None:
            task.tries, self.error = 0, ""
            return True
        if not isinstance(error, TransientError):
            raise error
        task.tries += 1
        task.next_at = time.monotonic() + min(RETRY_MAX_S, RETRY_S * 2 ** min(task.tries, 10))
        if str(error) != self.error:
            log.warning("archive_waiting", reason=str(error))
        self.error = str(error)
        return False

    def _step(self, obj: ArchiveObject, saved_generation: int, tries: int) -> None:
        if self.use_marker and not obj.marked:
            self.store.put_marker(self.naming.marker(obj))
            obj.marked = True
        final = 0 < obj.sealed <= saved_generation
        try:
            if tries and self._was_done(obj):
                self._completed(obj)
                return
            small = obj.sealed > 0 and len(obj.parts) == 1 and not obj.upload_id
            if small and final:
                key = self.naming.key(obj)
                self.store.put(key, obj.part_path(self.spool, 1), self._origin(obj))
                self.uploaded_bytes += obj.total_bytes
            elif obj.parts and not small:
                self._upload_parts(obj)
                if final:
                    self.store.complete(self.naming.key(obj), obj.upload_id, obj.parts)
        except KeyExistsError:
            if not self._is_ours(obj):
                self._rename(obj)
                raise TransientError(
                    "the key holds an object of another archive: trying the next"
                ) from None
        except UploadNotFoundError as error:
            if not (final and self._is_ours(obj)):
                self._forget_upload(obj)
                raise TransientError(f"the upload must be made again: {error}") from error
        if final:
            self._completed(obj)

    def _was_done(self, obj: ArchiveObject) -> bool:
        """Return, after a failure, whether the object is there after all; check its upload."""
        if obj.sealed > 0 and self._is_ours(obj):
            return True
        if obj.upload_id:
            self.store.check(self.naming.key(obj), obj.upload_id)
        return False

    def _completed(self, obj: ArchiveObject) -> None:
        # Set before the search, so that of two that end together at least one finds no other.
        obj.sealed = -1
        others = [
            other
            for other in self.state.objects
            if other.sealed >= 0 and (other.channel, other.window) == (obj.channel, obj.window)
        ]
        if self.use_marker and not others:
            self.store.delete(self.naming.marker(obj))
        self.completed += 1

    def _upload_parts(self, obj: ArchiveObject) -> None:
        if not obj.upload_id:
            while self.store.find(self.naming.key(obj)) and not self._is_ours(obj):
                self._rename(obj)
            obj.upload_id = self.store.begin(self.naming.key(obj), self._origin(obj))
        for part in list(obj.parts):
            if not part.etag:
                path = obj.part_path(self.spool, part.number)
                key = self.naming.key(obj)
                part.etag = self.store.upload(key, obj.upload_id, part.number, path)
                self.uploaded_bytes += part.bytes

    def _is_ours(self, obj: ArchiveObject) -> bool:
        found = self.store.find(self.naming.key(obj))
        ours = found is not None and found.origin == self._origin(obj)
        return ours and found is not None and found.bytes == obj.total_bytes

    def _rename(self, obj: ArchiveObject) -> None:
        self._forget_upload(obj)
        obj.seq = self.state.next_sequence(obj.channel, obj.window)
        if obj.seq > SEQ_MAX:
            raise TransientError(f"no free name for channel {obj.channel} in its window")

    def _forget_upload(self, obj: ArchiveObject) -> None:
        if obj.upload_id:
            self.store.abort(self.naming.key(obj), obj.upload_id)
        obj.upload_id = ""
        for part in obj.parts:
            part.etag = ""

    def _origin(self, obj: ArchiveObject) -> str:
        return f"{self.state.journal}/{obj.first_offset}"
