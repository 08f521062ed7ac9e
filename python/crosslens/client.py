"""A client of a CrossLens server: runs, metrics and matrices as arrays or data frames."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

import numpy as np
from numpy.typing import NDArray

from .problems import CrossLensError, Problem, RunFailed, Unreachable

if TYPE_CHECKING:
    import pandas

Inputs = Literal["clean", "adversarial"]
State = Literal["queued", "running", "paused", "succeeded", "failed", "canceled"]
#: An epoch by its number or by its name.
Which = int | Literal["best", "last"]

#: Seconds for one answer.
_ANSWER_WITHIN = 60
_BLOCK_BYTES = 1 << 20
#: Curves of an epoch, in the order of a table.
_CURVES = (
    "learning_rate",
    "train_loss",
    "train_clean_accuracy",
    "train_robust_accuracy",
    "test_clean_accuracy",
    "test_robust_accuracy",
    "test_loss",
    "holdout_robust_accuracy",
    "seconds",
)


def connect(url: str = "http://127.0.0.1:8000", token: str | None = None) -> Client:
    """Connect to the server at ``url``, for example through ``ssh -L``.

    ``url`` may be the link that the server prints, with its token. Raises :class:`Unreachable` if none answers, and
    :class:`Problem` if it does not know the token.

    >>> lens = crosslens.connect()
    >>> for run in lens.runs("eps:8 best>45 -tag:old"):
    ...     print(run.title, run.attribution("best").cas)
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if token is None:
        token = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair).get("token")
    client = Client(f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}", token)
    client.health()
    return client


@dataclass(frozen=True)
class Attribution:
    """A class-wise attribution matrix that a server keeps."""

    #: Run, epoch and inputs, such as ``RUN.e12.adversarial``.
    id: str
    run: str
    epoch: int
    inputs: Inputs
    classes: tuple[str, ...]
    #: C, ``[K, K]``.
    matrix: NDArray[np.float64]
    cas: float
    cas_normalized: float
    #: Accuracy on these inputs, a fraction, on all images and on those of each class.
    accuracy: float
    class_accuracy: NDArray[np.float64]
    class_counts: NDArray[np.int64]
    #: Ends of the 95 % intervals of CAS and of the cells; ``None`` if they were not measured.
    cas_interval: tuple[float, float] | None
    interval: tuple[NDArray[np.float64], NDArray[np.float64]] | None

    @classmethod
    def _of(cls, answer: Mapping[str, Any]) -> Attribution:
        bootstrap = answer.get("bootstrap")
        return cls(
            id=answer["id"],
            run=answer["run"],
            epoch=answer["epoch"],
            inputs=answer["inputs"],
            classes=tuple(answer["class_names"]),
            matrix=np.asarray(answer["matrix"], dtype=np.float64),
            cas=answer["cas"],
            cas_normalized=answer["cas_normalized"],
            accuracy=answer["accuracy"],
            class_accuracy=np.asarray(answer["class_accuracy"], dtype=np.float64),
            class_counts=np.asarray(answer["class_counts"], dtype=np.int64),
            cas_interval=None if bootstrap is None else (bootstrap["cas_low"], bootstrap["cas_high"]),
            interval=(np.asarray(bootstrap["low"]), np.asarray(bootstrap["high"])) if bootstrap and "low" in bootstrap else None,
        )

    def frame(self) -> pandas.DataFrame:
        """Return C with the class names as index and columns. Needs pandas."""
        import pandas

        return pandas.DataFrame(self.matrix, index=list(self.classes), columns=list(self.classes))


@dataclass(frozen=True)
class Difference:
    """How an attribution differs from the baseline of a comparison."""

    id: str
    #: CAS of this attribution minus that of the baseline.
    delta_cas: float
    #: This matrix minus the baseline's, ``[K, K]``.
    matrix: NDArray[np.float64]
    #: Cells whose difference the intervals do not resolve, ``[K, K]``; ``None`` without intervals.
    unresolved: NDArray[np.bool_] | None


@dataclass(frozen=True)
class Comparison:
    """Two to six attributions over the same classes, each but the first compared with the first."""

    attributions: tuple[Attribution, ...]
    differences: tuple[Difference, ...]
    #: Path and query of the page that shows it.
    view: str


@dataclass(frozen=True)
class Metrics:
    """The curves of a run."""

    #: Numbers of the epochs, ``[E]``.
    epoch: NDArray[np.int64]
    #: Values of each curve, ``[E]``; NaN where an epoch does not have it. Accuracies are fractions.
    curves: dict[str, NDArray[np.float64]]
    #: Epochs and CAS of the matrices on each kind of inputs.
    cas: dict[Inputs, tuple[NDArray[np.int64], NDArray[np.float64]]]
    #: Epochs whose checkpoints are kept.
    checkpoints: tuple[int, ...]
    #: What was recorded beside numbers, such as that training broke down.
    notices: tuple[str, ...]

    @classmethod
    def _of(cls, answer: Mapping[str, Any]) -> Metrics:
        epochs, found = answer["epochs"], answer["attributions"]
        kinds: tuple[Inputs, ...] = ("clean", "adversarial")
        of = {inputs: [entry for entry in found if entry["inputs"] == inputs] for inputs in kinds}
        return cls(
            epoch=np.asarray([epoch["epoch"] for epoch in epochs], dtype=np.int64),
            # `None` becomes NaN.
            curves={name: np.asarray([epoch[name] for epoch in epochs], dtype=np.float64) for name in _CURVES},
            cas={
                inputs: (
                    np.asarray([entry["epoch"] for entry in entries], dtype=np.int64),
                    np.asarray([entry["cas"] for entry in entries], dtype=np.float64),
                )
                for inputs, entries in of.items()
            },
            checkpoints=tuple(checkpoint["epoch"] for checkpoint in answer["checkpoints"]),
            notices=tuple(notice["message"] for notice in answer.get("notices", [])),
        )

    def frame(self) -> pandas.DataFrame:
        """Return the curves with epochs as index, CAS beside them. Needs pandas."""
        import pandas

        frame = pandas.DataFrame(self.curves, index=pandas.Index(self.epoch, name="epoch"))
        for inputs, (epochs, values) in self.cas.items():
            frame[f"cas_{inputs}"] = pandas.Series(values, index=epochs)
        return frame


@dataclass(frozen=True)
class Share:
    """A link under which a page can be read without a token."""

    url: str
    title: str
    _client: Client
    _id: int

    def withdraw(self) -> None:
        """Make the link end."""
        self._client._call("DELETE", f"/api/shares/{self._id}")


class Run:
    """A run of a server, as it was when it was last asked for."""

    def __init__(self, client: Client, answer: Mapping[str, Any]) -> None:
        self._client = client
        # Of a run in a list, the server has told a part; the rest is asked for when it is needed.
        self._answer = answer

    def __repr__(self) -> str:
        return f"<Run {self.id} {self.state} {self.title!r}>"

    @property
    def id(self) -> str:
        """Name of the run in links and files."""
        return str(self._answer["id"])

    @property
    def title(self) -> str:
        """Title of the run."""
        return str(self._answer["title"])

    @property
    def state(self) -> State:
        """State of the run."""
        state: State = self._answer["state"]
        return state

    @property
    def failure(self) -> str | None:
        """Why the run failed, in a sentence."""
        failure: str | None = self._whole().get("failure")
        return failure

    @property
    def tags(self) -> tuple[str, ...]:
        """Free words to find the run by."""
        return tuple(self._answer.get("tags", ()))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, as it was submitted and completed."""
        return dict(self._whole()["config"])

    @property
    def url(self) -> str:
        """Page of the run."""
        return f"{self._client.url}/runs/{self.id}"

    def refresh(self) -> Run:
        """Ask the server for the run again. Returns itself."""
        self._answer = self._client._call("GET", self._path())
        return self

    def metrics(self) -> Metrics:
        """Return the curves of the run."""
        return Metrics._of(self._client._call("GET", self._path("/metrics")))

    def attribution(self, epoch: Which = "best", inputs: Inputs = "adversarial") -> Attribution:
        """Return the matrix of an epoch."""
        number = self._epoch(epoch) if isinstance(epoch, str) else epoch
        return self._client.attribution(f"{self.id}.e{number}.{inputs}")

    def log(self) -> str:
        """Return the end of the worker's output."""
        return self._client._bytes("GET", self._path("/log")).decode()

    def save_checkpoint(self, path: str | Path, epoch: Which = "best") -> Path:
        """Write the weights of an epoch to ``path``, a safetensors file for ``load_state_dict``."""
        number = self._epoch(epoch) if isinstance(epoch, str) else epoch
        target = Path(path)
        with self._client._open("GET", f"/api/checkpoints/{quote(self.id)}.e{number}/file") as answer, target.open("wb") as file:
            while block := answer.read(_BLOCK_BYTES):
                file.write(block)
        return target

    def wait(self, timeout: float | None = None, interval: float = 1.0) -> Run:
        """Wait until the run has succeeded. Returns itself.

        Raises :class:`RunFailed` if it fails or is canceled, and ``TimeoutError`` after ``timeout`` seconds.
        """
        begun = time.monotonic()
        while self.refresh().state in ("queued", "running", "paused"):
            if timeout is not None and time.monotonic() - begun > timeout:
                raise TimeoutError(f"{self.id} is still {self.state} after {timeout:g} s")
            time.sleep(interval)
        if self.state != "succeeded":
            raise RunFailed(f"{self.id} has {'failed' if self.state == 'failed' else 'been canceled'}: {self.failure or 'see its log'}")
        return self

    def cancel(self) -> Run:
        """Ask the worker to save and end; a queued run is canceled at once. Returns itself."""
        self._answer = self._client._call("POST", self._path("/cancel"))
        return self

    def pause(self) -> Run:
        """Ask the worker to save and end; the run keeps what it has and goes on with `resume`. Returns itself."""
        self._answer = self._client._call("POST", self._path("/pause"))
        return self

    def resume(self) -> Run:
        """Put a paused, failed or canceled run back into the queue, to go on from what it has kept. Returns itself."""
        self._answer = self._client._call("POST", self._path("/resume"))
        return self

    def change(self, title: str | None = None, tags: Iterable[str] | None = None, notes: str | None = None) -> Run:
        """Rename the run, or set its tags or notes. Returns itself."""
        given = {"title": title, "tags": None if tags is None else list(tags), "notes": notes}
        self._answer = self._client._call("PATCH", self._path(), body={name: value for name, value in given.items() if value is not None})
        return self

    def delete(self, *, for_good: bool = False) -> None:
        """Move the run to the trash of the server, or remove it with all its files at once."""
        self._client._call("DELETE", self._path(), query={"for_good": "true"} if for_good else None)

    def share(self, title: str = "", note: str = "", days: int | None = None) -> Share:
        """Make a link to the page of the run."""
        return self._client.share(f"/runs/{self.id}", title, note, days)

    def _whole(self) -> Mapping[str, Any]:
        return self._answer if "config" in self._answer else self.refresh()._answer

    def _path(self, rest: str = "") -> str:
        return f"/api/runs/{quote(self.id)}{rest}"

    def _epoch(self, which: Literal["best", "last"]) -> int:
        summary = self.refresh()._answer["summary"].get(which)
        if summary is None:
            raise CrossLensError(f"{self.id} has no {which} epoch yet")
        return int(summary["epoch"])


class Client:
    """A CrossLens server. Made by :func:`connect`."""

    def __init__(self, url: str, token: str | None = None) -> None:
        #: Address of the application, without a slash at its end.
        self.url = url
        self._token = token
        self._opener = _opener(url)

    def health(self) -> dict[str, Any]:
        """Return version, devices and the state of worker and libtorch."""
        return dict(self._call("GET", "/api/health"))

    def presets(self) -> dict[str, dict[str, Any]]:
        """Return the experiments to start from, by their names; ``config`` of each can be changed and submitted."""
        return {preset["id"]: preset for preset in self._call("GET", "/api/presets")}

    def runs(self, query: str = "") -> list[Run]:
        """Return the runs that match ``query``, newest first: words and fields such as ``eps:8 best>45 -tag:old``.

        It is the language of the filter above the table of runs. A term that it does not know raises :class:`Problem`.
        """
        return [Run(self, row) for row in self._rows(query)]

    def run(self, id: str) -> Run:
        """Return one run."""
        return Run(self, self._call("GET", f"/api/runs/{quote(id)}"))

    def table(self, query: str = "") -> pandas.DataFrame:
        """Return the table of runs that match ``query``, one row a run. Needs pandas."""
        import pandas

        rows = [
            {
                **{name: row.get(name) for name in ("id", "title", "kind", "state", "method", "dataset", "architecture", "norm", "eps")},
                **{name: row.get(name) for name in ("seed", "epoch", "epochs", "created_at")},
                **{
                    f"{which}_{name}": (row.get(which) or {}).get(name)
                    for which in ("best", "last")
                    for name in ("epoch", "clean_accuracy", "robust_accuracy", "cas")
                },
            }
            for row in self._rows(query)
        ]
        frame = pandas.DataFrame(rows)
        return frame.set_index("id") if rows else frame

    def submit(self, config: Mapping[str, Any]) -> Run:
        """Put a run into the queue. Raises :class:`Problem` with the wrong fields."""
        return Run(self, self._call("POST", "/api/runs", body=config))

    def import_checkpoints(self, source: str | Path, config: Mapping[str, Any]) -> Run:
        """Send a checkpoint, or a folder with those of one training and its log, and import it as one run.

        ``config`` is that of a run of the kind ``import`` without ``source``: at least ``{"data": {"dataset": …}}``. What is on
        the machine of the server needs no sending: submit a configuration with its path as ``source``. Raises
        :class:`Problem` with the wrong fields.

        >>> run = lens.import_checkpoints("prn18", {"data": {"dataset": "cifar10"}, "attribution": {"inputs": ["adversarial"]}})
        >>> epochs, cas = run.wait().metrics().cas["adversarial"]
        """
        source = Path(source)
        inside = sorted(path for path in source.iterdir() if path.is_file() and path.name[0] != ".") if source.is_dir() else [source]
        files = [(f"{source.resolve().name}/{path.name}" if source.is_dir() else path.name, path) for path in inside]
        return Run(self, self._call("POST", "/api/checkpoints", form=_Form(config, files)))

    def attribution(self, id: str) -> Attribution:
        """Return a matrix by its name, such as ``RUN.e12.adversarial``."""
        return Attribution._of(self._call("GET", f"/api/attributions/{quote(id)}"))

    def compare(self, *attributions: Attribution | str) -> Comparison:
        """Compare two to six attributions over the same classes. The first is the baseline."""
        if not 2 <= len(attributions) <= 6:
            raise ValueError(f"{len(attributions)} attributions are given; a comparison has 2 to 6")
        names = [attribution if isinstance(attribution, str) else attribution.id for attribution in attributions]
        sides = dict(zip("abcdef", names, strict=False))
        answer = self._call("GET", "/api/comparisons", query=sides)
        return Comparison(
            attributions=tuple(Attribution._of(side) for side in answer["attributions"]),
            differences=tuple(
                Difference(
                    id=side["id"],
                    delta_cas=side["delta_cas"],
                    matrix=np.asarray(side["matrix"], dtype=np.float64),
                    unresolved=None if side.get("unresolved") is None else np.asarray(side["unresolved"], dtype=np.bool_),
                )
                for side in answer["differences"]
            ),
            view=f"/compare?{urlencode(sides)}",
        )

    def share(self, view: str | Comparison | Attribution, title: str = "", note: str = "", days: int | None = None) -> Share:
        """Make a link to a page: a comparison, an attribution, or the path and query of any page.

        Whoever has the link can read that page and nothing else, until ``days`` have passed or it is withdrawn.
        """
        match view:
            case Comparison():
                path = view.view
            case Attribution():
                path = f"/attributions/{view.id}"
            case _:
                path = view
        body: dict[str, Any] = {"view": path, "title": title, "note": note}
        if days is not None:
            body["expires_in_days"] = days
        answer = self._call("POST", "/api/shares", body=body)
        return Share(f"{self.url}/{answer['path']}", answer["title"], self, answer["id"])

    def _rows(self, query: str) -> list[dict[str, Any]]:
        answer = self._call("GET", "/api/run-rows", query={"q": query} if query.strip() else {})
        return sorted(answer["rows"], key=lambda row: str(row["created_at"]), reverse=True)

    def _call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, form: _Form | None = None) -> Any:
        content = self._bytes(method, path, query=query, body=body, form=form)
        return json.loads(content) if content else None

    def _bytes(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, form: _Form | None = None
    ) -> bytes:
        with self._open(method, path, query=query, body=body, form=form) as answer:
            return answer.read()

    def _open(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Any = None, form: _Form | None = None
    ) -> HTTPResponse:
        address = f"{self.url}{path}{'?' + urlencode(query) if query else ''}"
        request = Request(address, method=method, headers={"accept": "application/json, application/problem+json;q=0.9, */*;q=0.8"})
        if self._token is not None:
            request.add_header("authorization", f"Bearer {self._token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("content-type", "application/json")
        if form is not None:
            request.data = form.parts()
            request.add_header("content-type", f"multipart/form-data; boundary={form.boundary}")
            request.add_header("content-length", str(form.length()))
        try:
            answer: HTTPResponse = self._opener.open(request, timeout=_ANSWER_WITHIN)
        except HTTPError as error:
            with error:
                raise _problem(error) from None
        except (URLError, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise Unreachable(f"no server answers at {self.url}: {reason}") from None
        return answer


class _Form:
    """A configuration and files as a form. The files are read while they are sent."""

    def __init__(self, config: Mapping[str, Any], files: Sequence[tuple[str, Path]]) -> None:
        self.boundary = secrets.token_hex(16)
        self._config = json.dumps(config).encode()
        self._files = files

    def length(self) -> int:
        """Bytes of all parts."""
        heads = sum(len(self._head(name)) + 2 for name, _ in self._files)
        return len(self._start()) + heads + sum(path.stat().st_size for _, path in self._files) + len(self._end())

    def parts(self) -> Iterator[bytes]:
        """The bytes, some at a time."""
        yield self._start()
        for name, path in self._files:
            yield self._head(name)
            with path.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    yield block
            yield b"\r\n"
        yield self._end()

    def _start(self) -> bytes:
        return f'--{self.boundary}\r\ncontent-disposition: form-data; name="config"\r\n\r\n'.encode() + self._config + b"\r\n"

    def _head(self, name: str) -> bytes:
        # As browsers write names.
        quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        return f'--{self.boundary}\r\ncontent-disposition: form-data; name="file"; filename="{quoted}"\r\n\r\n'.encode()

    def _end(self) -> bytes:
        return f"--{self.boundary}--\r\n".encode()


def _opener(url: str) -> OpenerDirector:
    """Ask servers of this machine without a proxy, which would look on its own machine."""
    here = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
    return build_opener(ProxyHandler({})) if here else build_opener()


def _problem(error: HTTPError) -> Problem:
    try:
        body = json.loads(error.read())
        errors = [(wrong["field"], wrong["message"]) for wrong in body.get("errors", [])]
        return Problem(error.code, body["type"].rsplit("/", 1)[-1], body["detail"], errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Problem(error.code, "unknown", f"the server answered {error.code} {error.reason}")
