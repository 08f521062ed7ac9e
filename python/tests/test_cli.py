"""The command line and what it says where something is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crosslens import cli, installation
from crosslens.installation import InstallationError, Machine

DEBIAN_12 = Machine("Linux", 64, ("glibc", "2.36"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_environment: None) -> list:
    """Calls of programs, in a folder of programs that does not hold more than their names."""
    for name in ("server", "worker"):
        (tmp_path / name).touch()
    (tmp_path / "web").mkdir()
    monkeypatch.setattr(installation, "PROGRAMS", tmp_path)
    calls: list = []

    def execve(program: Path, arguments: list[str], environment: dict[str, str]) -> None:
        calls.append((program.name, arguments, environment))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    return calls


@pytest.mark.parametrize(
    ("line", "program", "arguments"),
    [
        ("serve --demo --addr [::]:80", "server", ["crosslens serve", "--demo", "--addr", "[::]:80"]),
        ("worker runs/a", "worker", ["crosslens worker", "runs/a"]),
        ("import a.pth runs/a --dataset cifar10", "worker", ["crosslens import", "--import", "a.pth", "runs/a", "--dataset", "cifar10"]),
        ("inspect a.pth --dataset cifar10", "worker", ["crosslens inspect", "--inspect", "a.pth", "--dataset", "cifar10"]),
        ("import --help", "worker", ["crosslens import", "--help"]),
        ("presets demo", "server", ["crosslens", "presets", "demo"]),
        ("backup there", "server", ["crosslens", "backup", "there"]),
    ],
)
def test_a_command_becomes_its_program(started, line, program, arguments):
    with pytest.raises(SystemExit):
        cli.main(line.split())
    assert started[0][:2] == (program, arguments)


def test_programs_are_told_where_everything_is(started, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/share")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/usr/own")
    with pytest.raises(SystemExit):
        cli.main(["serve"])
    environment = started[0][2]
    assert environment["CROSSLENS_DATA_DIR"] == "/srv/share/crosslens"
    assert environment["CROSSLENS_WORKER"] == str(tmp_path / "worker")
    assert environment["CROSSLENS_WEB"] == str(tmp_path / "web")
    assert environment["LD_LIBRARY_PATH"] == f"{installation.libtorch()}:/usr/own"
    # What the user has set stays.
    monkeypatch.setenv("CROSSLENS_DATA_DIR", "/mine")
    with pytest.raises(SystemExit):
        cli.main(["serve"])
    assert started[1][2]["CROSSLENS_DATA_DIR"] == "/mine"


@pytest.mark.parametrize(("home", "expected"), [("", "/home/ada/.local/share"), ("relative", "/home/ada/.local/share"), ("/x", "/x")])
def test_data_lie_where_xdg_says(monkeypatch, home, expected):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", home)
    assert installation.data_dir() == Path(expected) / "crosslens"


@pytest.mark.parametrize(
    ("line", "code", "part"),
    [
        ("dance", 2, "there is no command `dance`"),
        ("import", 2, "name the file first"),
        ("import --dataset cifar10 a.pth", 2, "name the file first"),
        ("completion tcsh", 2, "name a shell: bash, zsh, fish"),
    ],
)
def test_a_wrong_line_is_one_sentence(started, capsys, line, code, part):
    assert cli.main(line.split()) == code
    assert part in capsys.readouterr().err
    assert not started


def test_help_and_version(capsys):
    assert cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert "crosslens serve [--demo]" in said and "Exit codes" in said
    assert cli.main([]) == 2
    capsys.readouterr()
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("crosslens 0.")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    assert "crosslens words" in capsys.readouterr().out
    cli.main(["words", "", "1"])
    assert {"serve", "worker", "import", "completion"} <= set(capsys.readouterr().out.split())
    cli.main(["words", "completion", "2"])
    assert capsys.readouterr().out.split() == ["bash", "zsh", "fish"]


@pytest.mark.parametrize(
    ("machine", "part"),
    [
        (Machine("Darwin", 64, ("", "")), "run on Linux, not on Darwin: use a Linux machine"),
        (Machine("Linux", 32, ("glibc", "2.36")), "this Python has 32 bits, for which there is no PyTorch: install a Python of 64 bits"),
        (Machine("Linux", 64, ("", "")), "this system has no glibc, which PyTorch needs: use a distribution with glibc 2.35"),
        (Machine("Linux", 64, ("glibc", "2.31")), "this system has glibc 2.31, and the programs need 2.35: use a newer system"),
    ],
)
def test_a_machine_that_does_not_fit_is_one_sentence(machine, part):
    with pytest.raises(InstallationError) as raised:
        installation.check_machine(machine, (2, 35))
    assert part in str(raised.value)
    installation.check_machine(DEBIAN_12, (2, 35))


def fake_torch(folder: Path, version: str, *, library: bool = True) -> None:
    (folder / "torch" / "lib").mkdir(parents=True)
    (folder / "torch" / "__init__.py").touch()
    (folder / "torch" / "version.py").write_text(f"__version__ = '{version}'\n")
    if library:
        (folder / "torch" / "lib" / "libtorch_cpu.so").touch()


@pytest.mark.parametrize(
    ("version", "library", "part"),
    [
        ("2.10.0+cu128", True, "this Python has torch 2.10.0+cu128, and the programs are linked to 2.11.0: `pip install torch==2.11.0`"),
        ("2.11.0+rocm", False, "has no lib/libtorch_cpu.so: `pip install torch==2.11.0`"),
        (None, False, "this Python has no torch: `pip install torch==2.11.0`"),
    ],
)
def test_a_torch_that_does_not_fit_is_one_sentence(monkeypatch, tmp_path, version, library, part):
    if version is not None:
        fake_torch(tmp_path, version, library=library)
    monkeypatch.setattr("importlib.util.find_spec", find_in(tmp_path))
    with pytest.raises(InstallationError) as raised:
        installation.libtorch()
    assert part in str(raised.value)


def test_the_torch_of_this_python_fits(monkeypatch, tmp_path):
    fake_torch(tmp_path, "2.11.0+cpu")
    monkeypatch.setattr("importlib.util.find_spec", find_in(tmp_path))
    assert installation.libtorch() == tmp_path / "torch" / "lib"


def find_in(folder: Path):
    """A `find_spec` of a Python that has nothing but this folder."""
    from importlib.machinery import PathFinder

    return lambda name: PathFinder.find_spec(name, [str(folder)])
