"""The client against docs/openapi.json: each route, parameter and field that it uses is there."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import ROOT

from crosslens.client import Client, Run

DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text())


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, and merge what is put together of several."""
    if "$ref" in schema:
        return resolved(DOCUMENT["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]])
    if "allOf" in schema:
        parts = [resolved(part) for part in schema["allOf"]]
        return {"type": "object", "properties": {name: of for part in parts for name, of in part.get("properties", {}).items()}}
    if "oneOf" in schema:
        return resolved(next(part for part in schema["oneOf"] if part.get("type") != "null"))
    return schema


class Documented(dict[str, Any]):
    """An object with every documented field, which fails where another is asked for."""

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]


def sample(schema: Mapping[str, Any]) -> Any:
    """Make a value as a schema describes it."""
    schema = resolved(schema)
    kinds = schema.get("type", "string")
    kind = next(of for of in ([kinds] if isinstance(kinds, str) else kinds) if of != "null")
    if "enum" in schema:
        return schema["enum"][0]
    if kind == "object":
        return Documented({name: sample(of) for name, of in schema.get("properties", {}).items()})
    if kind == "array":
        return [sample(schema["items"])]
    return {"string": "text", "integer": 1, "number": 0.5, "boolean": True}[kind]


class DocumentedClient(Client):
    """Answers from the document, and refuses what is not in it."""

    def _call(self, method: str, path: str, **given: Any) -> Any:
        operation = self._operation(method, path, **given)
        answer = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        content = answer.get("content")
        return None if content is None else sample(content["application/json"]["schema"])

    def _bytes(self, method: str, path: str, **given: Any) -> bytes:
        self._operation(method, path, **given)
        return b"text"

    def _open(self, method: str, path: str, **given: Any) -> Any:
        self._operation(method, path, **given)
        return io.BytesIO(b"weights")

    def _operation(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None, form: Any = None
    ) -> Mapping[str, Any]:
        for template, operations in DOCUMENT["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in operations:
                operation = operations[method.lower()]
                break
        else:
            raise AssertionError(f"{method} {path} is not in the document")
        known = {parameter["name"] for parameter in operation.get("parameters", [])}
        assert set(query or {}) <= known, f"{method} {path} takes {known}"
        if body is not None:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            assert set(body) <= set(resolved(schema)["properties"]), f"{method} {path}"
        if form is not None:
            schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
            names = re.findall(r'form-data; name="(\w+)"', b"".join(form.parts()).decode(errors="replace"))
            assert set(names) <= set(resolved(schema)["properties"]), f"{method} {path}"
            assert form.length() == len(b"".join(form.parts()))
        return operation


CALLS = {
    "Client.health": lambda client: client.health(),
    "Client.presets": lambda client: client.presets(),
    "Client.runs": lambda client: client.runs("eps:8"),
    "Client.run": lambda client: client.run("r-1"),
    "Client.table": lambda client: client.table("eps:8"),
    "Client.submit": lambda client: client.submit({"data": {}, "training": {}}),
    "Client.import_checkpoints": lambda client: client.import_checkpoints(__file__, {"data": {"dataset": "digits"}}),
    "Client.attribution": lambda client: client.attribution("r-1.e2.clean").frame(),
    "Client.compare": lambda client: client.share(client.compare("r-1.e2.clean", client.attribution("r-1.e3.clean"))),
    "Client.share": lambda client: client.share("/runs/r-1", "title", "note", 3).withdraw(),
    "Run.refresh": lambda client: client.run("r-1").refresh(),
    "Run.metrics": lambda client: client.run("r-1").metrics().frame(),
    "Run.attribution": lambda client: client.run("r-1").attribution("best"),
    "Run.log": lambda client: client.run("r-1").log(),
    "Run.save_checkpoint": lambda client: client.run("r-1").save_checkpoint("/dev/null", "last"),
    "Run.wait": lambda client: client.run("r-1").wait(timeout=0, interval=0),
    "Run.cancel": lambda client: client.run("r-1").cancel(),
    "Run.pause": lambda client: client.run("r-1").pause(),
    "Run.resume": lambda client: client.run("r-1").resume(),
    "Run.change": lambda client: client.run("r-1").change("title", ["tag"], "notes"),
    "Run.delete": lambda client: client.run("r-1").delete(),
    "Run.share": lambda client: client.run("r-1").share(days=3),
}


def public(kind: type) -> set[str]:
    return {f"{kind.__name__}.{name}" for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}


def test_every_method_is_called_here():
    assert public(Client) | public(Run) == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_method_uses_what_is_documented(name):
    client = DocumentedClient("http://example.org", None)
    if name == "Run.wait":
        # The documented run is queued for ever.
        with pytest.raises(TimeoutError):
            CALLS[name](client)
    else:
        CALLS[name](client)


@pytest.mark.parametrize("name", [name for name, value in vars(Run).items() if isinstance(value, property)])
def test_a_property_of_a_run_uses_what_is_documented(name):
    client = DocumentedClient("http://example.org", None)
    for run in (client.run("r-1"), client.runs()[0]):
        getattr(run, name)
