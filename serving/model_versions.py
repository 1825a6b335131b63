"""Which versions of a model are served: by default the folder's newest one that works.

Follows TensorFlow Serving. Only folders with numeric names count; a version that fails to load
leaves the old ones serving; deleting the newest brings the next one back; a version that is no
longer wanted is unloaded once its successor is loaded and the requests that use it are done.

It differs twice. Where the real server would unload the last version because its folder was
emptied, this one keeps serving it. And a version that does not load is given up at the second look,
unless its files changed since: the real server tries it five times more, a minute apart, calls it
LOADING meanwhile, and serves it if it was completed. `LoadRetries` makes this one do the same.
Neither tries the number of a version that it has given up.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import grpc
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis.get_model_status_pb2 import ModelVersionStatus

from serving.errors import ModelError
from serving.loaded_model import LoadedModel
from serving.model_config import ModelConfig, allowed_versions

# How long a folder that does not load may still be in the making: the real server's five retries,
# a minute apart.
COPY_TIME_LIMIT_S = 300.0
_MAX_VERSION = 2**63 - 1
_INITIALIZATION = "__saved_model_init_op"  # not for requests: what loading runs

logger = logging.getLogger(__name__)


def find_versions(model_dir: Path) -> dict[int, Path]:
    """Version number to path, for every entry of the folder whose name is a number.

    Raises:
      OSError: the folder cannot be listed.
    """
    return {
        int(path.name): path
        for path in sorted(model_dir.iterdir())
        if path.name.isascii() and path.name.isdigit() and int(path.name) <= _MAX_VERSION
    }


class LoadRetries(NamedTuple):
    """How a version that does not load is tried again.

    Attributes:
      num: how often, whatever its files; 0 is once for each change of its files.
      interval_s: seconds from one try to the next; for 0 a look at the folder.
    """

    num: int = 0
    interval_s: float = 60.0


NO_RETRIES = LoadRetries()


class _FailedAttempts(NamedTuple):
    num: int
    first_s: float
    last_s: float
    contents: frozenset[tuple[str, int, int]]
    error: ModelError


@dataclass(eq=False)
class _Served:
    model: LoadedModel
    num_requests: int = 0


class ModelVersions:
    """The versions of one model. `refresh` is for one thread, everything else for any.

    Args:
      config: of the model; may be replaced before a `refresh`.
      load: makes a served model of a version's folder, or raises `ModelError`.
      retries: of a version that does not load.
    """

    def __init__(
        self,
        config: ModelConfig,
        load: Callable[[Path, int], LoadedModel],
        retries: LoadRetries = NO_RETRIES,
    ) -> None:
        self.config = config
        self._load = load
        self._retries = retries
        self._lock = Lock()
        self._served: dict[int, _Served] = {}
        self._statuses: dict[int, ModelVersionStatus] = {}
        self._attempts: dict[int, _FailedAttempts] = {}

    @property
    def available_versions(self) -> list[int]:
        """The versions that answer requests, oldest first."""
        with self._lock:
            return sorted(self._served)

    @property
    def tries_again(self) -> bool:
        """Whether a version failed to load and is not given up yet."""
        return bool(self._attempts)

    def refresh(self) -> None:
        """Looks at the folder once and serves what the policy wants of it, as far as it loads.

        Raises:
          OSError: the folder cannot be listed; what is served does not change.
        """
        found = find_versions(Path(self.config.base_path))
        for version in set(self._attempts) - set(found):
            self._give_up(version)
        given_up = {number for number, status in self._statuses.items() if status.status.error_code}
        wanted: list[int] = []
        allowed, num_wanted = allowed_versions(
            self.config.model_version_policy, set(found) - given_up
        )
        for version in allowed:
            if len(wanted) == num_wanted:
                break
            if version in self.available_versions or self._try_to_load(version, found[version]):
                wanted.append(version)
        # The others get no new request; those under way end with the model they have.
        retired = set(self.available_versions) - set(wanted) if wanted else set()
        with self._lock:
            for version in retired:
                self._set_status(version, ModelVersionStatus.UNLOADING)
                self._mark_if_unloaded(self._served.pop(version))

    @contextlib.contextmanager
    def lease(self, version: int | None = None) -> Iterator[LoadedModel]:
        """Holds a model for one request: it is not unloaded before the block ends.

        Args:
          version: the version asked for; None means the newest being served.

        Raises:
          ModelError: NOT_FOUND, the version is not being served.
        """
        with self._lock:
            served = self._served.get(max(self._served, default=0) if version is None else version)
            if served is None:
                asked = "latest" if version is None else version
                message = f"Servable not found for request: {self.config.name}, version {asked}."
                raise ModelError(grpc.StatusCode.NOT_FOUND, message)
            served.num_requests += 1
        try:
            yield served.model
        finally:
            with self._lock:
                served.num_requests -= 1
                self._mark_if_unloaded(served)

    def statuses(self, version: int | None = None) -> list[ModelVersionStatus]:
        """State of every version seen so far, newest first, or of the one asked for.

        Raises:
          ModelError: NOT_FOUND, no such version.
        """
        with self._lock:
            if version is None:
                return [self._statuses[number] for number in sorted(self._statuses, reverse=True)]
            if version in self._statuses:
                return [self._statuses[version]]
        message = f"Could not find version {version} of model {self.config.name}."
        raise ModelError(grpc.StatusCode.NOT_FOUND, message)

    def _try_to_load(self, version: int, path: Path) -> bool:
        """Loads and serves a version, if after what failed before it is time for a try."""
        contents = _list_contents(path)
        now_s = time.monotonic()
        failed = self._attempts.get(version)
        if failed and self._retries.num:
            if now_s - failed.last_s < self._retries.interval_s:
                return False
        elif failed and (failed.contents == contents or now_s - failed.first_s > COPY_TIME_LIMIT_S):
            self._give_up(version)
            return False
        with self._lock:
            self._set_status(version, ModelVersionStatus.LOADING)
        try:
            model = self._load_replacement(version, path)
        except ModelError as error:
            num, first_s = (failed.num, failed.first_s) if failed else (0, now_s)
            self._attempts[version] = _FailedAttempts(num + 1, first_s, now_s, contents, error)
            if num and num == self._retries.num:
                self._give_up(version)
            return False
        self._attempts.pop(version, None)
        with self._lock:
            self._served[version] = _Served(model)
            self._set_status(version, ModelVersionStatus.AVAILABLE)
        logger.info("Serving model=%s version=%d", self.config.name, version)
        return True

    def _load_replacement(self, version: int, path: Path) -> LoadedModel:
        model = self._load(path, version)
        # Newer versions alone: who goes back to an older one wants its signatures.
        available = self.available_versions
        if available and version > available[-1]:
            with self.lease() as served:
                check_replaces(model.signature_defs, served.signature_defs)
        return model

    def _give_up(self, version: int) -> None:
        error = self._attempts.pop(version).error
        with self._lock:
            self._set_status(version, ModelVersionStatus.END, error)
        logger.warning(
            "Cannot serve model=%s version=%d: %s", self.config.name, version, error.message
        )

    def _mark_if_unloaded(self, served: _Served) -> None:
        """The caller holds the lock."""
        version = served.model.version
        is_unloading = self._statuses[version].state == ModelVersionStatus.UNLOADING
        if is_unloading and served.num_requests == 0:
            self._set_status(version, ModelVersionStatus.END)

    def _set_status(self, version: int, state: int, error: ModelError | None = None) -> None:
        """The caller holds the lock. Statuses are replaced, never changed: readers keep theirs."""
        status = ModelVersionStatus(version=version, state=state)
        if error is not None:
            status.status.error_code = error.code.value[0]
            status.status.error_message = error.message
        self._statuses[version] = status


def _list_contents(path: Path) -> frozenset[tuple[str, int, int]]:
    """Name, size and time of change of all files: differs while a copy is under way."""
    contents = set()
    for entry in [path, *path.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):  # gone between listing and looking
            details = entry.stat()
            contents.add((str(entry), details.st_size, details.st_mtime_ns))
    return frozenset(contents)


def check_replaces(
    new: Mapping[str, meta_graph_pb2.SignatureDef], old: Mapping[str, meta_graph_pb2.SignatureDef]
) -> None:
    """Checks that requests to every old signature can be asked of the new ones.

    A SavedModel of another schema loads, and then fails every request; the real server serves it.
    Inputs have to be the same in name, dtype and rank; no output may be missing or of another dtype
    or rank. More outputs and more signatures are fine. No signature is exempt: `step`, say, is
    there for students alone, and a teacher in a student's place would fail every session. Whoever
    wants that says so by a restart or another name.

    Args:
      new: signatures of a version that would be served.
      old: signatures of the version it replaces.

    Raises:
      ModelError: FAILED_PRECONDITION, with what differs and what to do.
    """
    new_names = sorted(set(new) - {_INITIALIZATION})
    for name in sorted(set(old) - {_INITIALIZATION}):
        given = new.get(name, meta_graph_pb2.SignatureDef())
        inputs, outputs = _describe(given.inputs), _describe(given.outputs)
        wanted, wanted_outputs = _describe(old[name].inputs), _describe(old[name].outputs)
        if name in new and inputs == wanted and set(wanted_outputs) <= set(outputs):
            continue
        received = f"inputs {_list(inputs)}, outputs {_list(outputs)}"
        if name not in new:
            received = f"signatures {_list(new_names)}"
        raise ModelError(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"The signature {name!r} should answer the requests of the version being served: "
            f"inputs {_list(wanted)}, outputs {_list(wanted_outputs)}. Received: {received}. Push "
            "a model that answers them, serve this one under another name, or, once no client "
            f"asks {name!r} any more, start the server anew.",
        )


def _describe(tensors: Mapping[str, meta_graph_pb2.TensorInfo]) -> list[str]:
    """Name, dtype and rank of each, such as `history string[?, ?]`, in alphabetical order."""
    return sorted(
        f"{name} {types_pb2.DataType.Name(info.dtype).removeprefix('DT_').lower()}"
        f"[{', '.join('?' for _ in info.tensor_shape.dim)}]"
        for name, info in tensors.items()
    )


def _list(parts: Sequence[str]) -> str:
    return ", ".join(parts) or "none"
