"""The client against a real server and its worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import serving

import crosslens


@pytest.fixture(scope="module")
def lens(server: Path, worker: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[crosslens.Client]:
    with serving(server, worker, tmp_path_factory.mktemp("data")) as lens:
        yield lens


def config(name: str, epochs: int = 2) -> dict:
    return {
        "kind": "train",
        "name": name,
        "device": "cpu",
        "data": {"dataset": "digits", "train_samples": 60},
        "model": {"architecture": "preact_resnet_small", "width": 2},
        "training": {"method": "pgd_at", "epochs": epochs, "milestones": []},
        "attack": {"norm": "linf", "eps": "16/255", "steps": 1},
        "attribution": {"inputs": ["clean", "adversarial"], "bootstrap": 20},
        "checkpoints": {"epochs": [1]},
    }


@pytest.fixture(scope="module")
def run(lens: crosslens.Client) -> crosslens.Run:
    return lens.submit(config("First")).wait(timeout=120, interval=0.05)


def test_a_run_comes_back_as_arrays_and_frames(lens, run, tmp_path):
    metrics = run.metrics()
    assert metrics.epoch.tolist() == [1, 2]
    assert metrics.curves["test_robust_accuracy"].shape == (2,)
    assert np.isnan(metrics.curves["holdout_robust_accuracy"]).all()
    frame = metrics.frame()
    assert frame.index.tolist() == [1, 2] and frame["cas_adversarial"].notna().all()

    last = run.attribution("last")
    assert last.id == f"{run.id}.e2.adversarial"
    assert last.matrix.shape == (10, 10) and (np.diag(last.matrix) == 1).all()
    assert last.cas == pytest.approx(np.clip(last.matrix, 0, None).sum() - 10)
    assert last.cas_interval[0] < last.cas < last.cas_interval[1]
    assert last.frame().loc["3", "5"] == last.matrix[3, 5]

    weights = run.save_checkpoint(tmp_path / "weights.safetensors", 1)
    assert weights.stat().st_size > 1000
    assert run.config["training"]["epochs"] == 2
    assert isinstance(run.log(), str)


def test_runs_are_found_by_the_language_of_the_filter(lens, run):
    run.change(tags=["paper"])
    assert [found.id for found in lens.runs("eps:16 tag:paper method:pgd_at")] == [run.id]
    assert lens.runs("-tag:paper first") == []
    assert lens.table("tag:paper").loc[run.id, "last_epoch"] == 2
    with pytest.raises(crosslens.Problem) as raised:
        lens.runs("first best>many")
    assert raised.value.kind == "invalid-query"
    assert raised.value.errors[0][0] == "q"
    assert "best>many" in str(raised.value)


def test_matrices_are_compared_and_shared(lens, run):
    first, last = run.attribution(1), run.attribution(2)
    comparison = lens.compare(first, last)
    (difference,) = comparison.differences
    np.testing.assert_allclose(difference.matrix, last.matrix - first.matrix, atol=1e-12)
    assert difference.delta_cas == pytest.approx(last.cas - first.cas)
    assert difference.unresolved.shape == (10, 10)
    with pytest.raises(ValueError, match="1 attributions are given"):
        lens.compare(first)

    share = lens.share(comparison, title="Both", days=1)
    assert share.title == "Both"
    reader = crosslens.Client(lens.url, None)
    token = share.url.rsplit("/", 1)[-1]
    assert reader._call("GET", f"/api/shares/{token}")["share"]["view"] == comparison.view
    share.withdraw()
    with pytest.raises(crosslens.Problem, match="was revoked"):
        reader._call("GET", f"/api/shares/{token}")


def test_a_folder_of_checkpoints_is_sent_and_becomes_a_run_with_its_course(lens, run, tmp_path):
    folder = tmp_path / "my training"
    folder.mkdir()
    for epoch in (1, 2):
        run.save_checkpoint(folder / f"epoch_{epoch}.safetensors", epoch)
    (folder / "notes.md").write_text("Mine.")
    data = {key: value for key, value in run.config["data"].items() if value is not None}
    given = {"device": "cpu", "data": data, "normalization": "dataset", "attack": {"norm": "linf", "eps": "16/255"}}
    imported = lens.import_checkpoints(folder, given | {"attribution": {"inputs": ["adversarial"]}}).wait(timeout=120, interval=0.05)
    assert imported.title == "Imported: my training"
    epochs, cas = imported.metrics().cas["adversarial"]
    assert epochs.tolist() == [1, 2]
    np.testing.assert_allclose(cas, run.metrics().cas["adversarial"][1], rtol=1e-12)
    alone = lens.import_checkpoints(folder / "epoch_2.safetensors", given | {"epoch": 2}).wait(timeout=120, interval=0.05)
    assert alone.metrics().checkpoints == (2,)
    (folder / "weights.safetensors").write_bytes((folder / "epoch_1.safetensors").read_bytes())
    with pytest.raises(crosslens.RunFailed, match="`weights.safetensors` has no number in its name"):
        lens.import_checkpoints(folder, given).wait(timeout=120, interval=0.05)
    with pytest.raises(crosslens.Problem) as raised:
        lens.import_checkpoints(folder, {"data": {"dataset": "mnist"}})
    assert [field for field, _ in raised.value.errors] == ["data.dataset"]


def test_a_run_is_canceled_resumed_and_deleted(lens, run):
    long = lens.submit(config("Long", epochs=500))
    assert long.state == "queued" or long.state == "running"
    with pytest.raises(TimeoutError):
        long.wait(timeout=0, interval=0)
    long.cancel()
    with pytest.raises(crosslens.RunFailed, match="has been canceled"):
        long.wait(timeout=60, interval=0.05)
    assert long.resume().state in ("queued", "running")
    long.cancel()
    with pytest.raises(crosslens.RunFailed):
        long.wait(timeout=60, interval=0.05)
    long.delete(for_good=True)
    with pytest.raises(crosslens.Problem) as raised:
        long.refresh()
    assert (raised.value.status, raised.value.kind) == (404, "run-not-found")


def test_what_is_refused_names_its_fields(lens):
    wrong = config("Wrong") | {"attack": {"norm": "linf", "eps": "many"}}
    with pytest.raises(crosslens.Problem) as raised:
        lens.submit(wrong)
    assert [field for field, _ in raised.value.errors] == ["attack.eps"]
    with pytest.raises(crosslens.Problem) as raised:
        crosslens.connect(lens.url, "another-token-0123")
    assert raised.value.status == 401


def test_a_preset_is_a_configuration_to_submit(lens):
    assert lens.presets()["demo"]["config"]["kind"] == "train"


def test_an_address_without_a_server_is_named():
    with pytest.raises(crosslens.problems.Unreachable, match="no server answers at http://127.0.0.1:1"):
        crosslens.connect("127.0.0.1:1")
