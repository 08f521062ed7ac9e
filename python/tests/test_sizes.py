"""Sizes are read and written as the server does: `shared/src/eps.rs`."""

from __future__ import annotations

import pytest

from crosslens import PGD, sizes


@pytest.mark.parametrize(
    ("size", "norm", "expected"),
    [("8/255", "linf", 8 / 255), (8, "linf", 8 / 255), ("0.5", "linf", 0.5), (1.5, "l2", 1.5), ("128/255", "l2", 128 / 255), (1, "l2", 1)],
)
def test_a_size_is_read_in_its_norm(size, norm, expected):
    assert sizes.read(size, norm) == expected


@pytest.mark.parametrize("size", ["eight", "-1/255", "nan", "8/0", 1, "1.0"])
def test_what_is_no_size_is_named(size):
    with pytest.raises(ValueError, match=f"`{size}`"):
        sizes.read(size, "linf")


@pytest.mark.parametrize(("size", "text"), [(8 / 255, "8/255"), (2.5 / 255, "2.5/255"), (0.1234, "0.1234"), (1.5, "1.5"), (1.0, "255/255")])
def test_a_size_is_written_so_that_it_reads_back(size, text):
    assert sizes.written(size) == text
    assert sizes.read(text, "l2") == pytest.approx(size, abs=1e-15)


def test_an_attack_takes_the_papers_step():
    assert PGD().to_json() == {"norm": "linf", "eps": "8/255", "step_size": "2/255", "steps": 20, "random_start": True}
    assert PGD(norm="l2", eps="128/255").to_json()["step_size"] == "16/255"
    for wrong in ({"steps": 0}, {"eps": 0}, {"norm": "l1"}):
        with pytest.raises(ValueError):
            PGD(**wrong)
