"""The command ``crosslens``: starts the programs that are in this package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import NoReturn

from . import installation
from .installation import InstallationError

_USAGE = 2


@dataclass(frozen=True)
class _Command:
    arguments: str
    what: str
    program: str
    #: What comes before the arguments of the user.
    before: tuple[str, ...] = ()


_COMMANDS = {
    "serve": _Command("[--demo] [OPTIONS]", "Start the server and print its address; with --demo, run the demo too.", "server"),
    "worker": _Command("DIR", "Run DIR/config.json without a server.", "worker"),
    "import": _Command("FILE DIR --dataset NAME [OPTIONS]", "Read a checkpoint of PyTorch, or those of one training in a folder, into DIR.", "worker", ("--import",)),
    "inspect": _Command("FILE --dataset NAME [OPTIONS]", "Print what such a file holds and what has to be decided.", "worker", ("--inspect",)),
    "presets": _Command("[PRESET]", "List the experiments to start from, or print the configuration of one.", "server", ("presets",)),
    "backup": _Command("DIR", "Copy runs, database and token into a new folder.", "server", ("backup",)),
    "restore": _Command("DIR", "Make the data folder from such a copy.", "server", ("restore",)),
}

_COMPLETIONS = {
    "bash": """\
_crosslens() {
    COMPREPLY=($(compgen -W "$(crosslens words "${COMP_WORDS[1]}" "$COMP_CWORD" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _crosslens crosslens
""",
    "zsh": """\
#compdef crosslens
_crosslens() {
    compadd -- $(crosslens words "${words[2]}" "$((CURRENT - 1))" 2>/dev/null)
    [[ $CURRENT -gt 2 ]] && _files
}
compdef _crosslens crosslens
""",
    "fish": """\
complete -c crosslens -a '(crosslens words (commandline -opc)[2] (count (commandline -opc)) 2>/dev/null)'
""",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code unless a program takes over."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except InstallationError as error:
        print(f"crosslens: {error}", file=sys.stderr)
        return 1


def _run(given: list[str]) -> int:
    match given:
        case [] | ["-h" | "--help" | "help", *_]:
            print(_help(), end="")
            return 0 if given else _USAGE
        case ["-V" | "--version", *_]:
            print(f"crosslens {metadata.version('crosslens')}")
            return 0
        case ["completion", shell] if shell in _COMPLETIONS:
            print(_COMPLETIONS[shell], end="")
            return 0
        case ["completion", *_]:
            return _wrong(f"name a shell: {', '.join(_COMPLETIONS)}")
        case ["words", command, place]:
            print("\n".join(_words(command, place)))
            return 0
        case [name, *rest] if name in _COMMANDS:
            found = _COMMANDS[name]
            takes_file = found.arguments.startswith("FILE")
            if takes_file and {"-h", "--help"} & set(rest):
                _start(name, _COMMANDS["worker"], ["--help"])
            if takes_file and (not rest or rest[0].startswith("-")):
                return _wrong(f"name the file first: crosslens {name} {found.arguments}")
            _start(name, found, rest)
        case _:
            return _wrong(f"there is no command `{given[0]}`; `crosslens --help` lists them")


def _start(name: str, command: _Command, arguments: Sequence[str]) -> NoReturn:
    """Become the program."""
    program = installation.program(command.program)
    environment = installation.environment()
    # The name that its help shows.
    shown = f"crosslens {name}" if not command.before or command.before[0].startswith("-") else "crosslens"
    sys.stdout.flush()
    os.execve(program, [shown, *command.before, *arguments], environment)


def _wrong(sentence: str) -> int:
    print(f"crosslens: {sentence}", file=sys.stderr)
    return _USAGE


def _help() -> str:
    named = {f"{name} {command.arguments}": command.what for name, command in _COMMANDS.items()}
    named["completion bash|zsh|fish"] = "Print a script that completes commands and options in a shell."
    lines = "".join(f"  crosslens {usage}\n      {what}\n" for usage, what in named.items())
    return f"""\
CrossLens trains networks against adversarial examples and shows which features their classes share.

{lines}
`crosslens COMMAND --help` lists the options of a command; `crosslens --version` prints the version.
Runs are kept in {installation.data_dir()} (--data-dir, or CROSSLENS_DATA_DIR).
Exit codes: 0 done, 2 wrong arguments, 1 failed; a worker ends with 3 when it was canceled and with 85 when it has
saved and is to be started again.
"""


def _words(command: str, place: str) -> list[str]:
    """Return the words that may stand at a place of the line, where the command has place 1."""
    if place == "1":
        return [*_COMMANDS, "completion", "--help", "--version"]
    if command == "completion":
        return list(_COMPLETIONS)
    if command not in _COMMANDS:
        return []
    found = _COMMANDS[command]
    before = [word for word in found.before if not word.startswith("-")]
    line = [str(installation.program(found.program)), *before, "--help"]
    answer = subprocess.run(line, env=installation.environment(), capture_output=True, text=True, check=False)
    return re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", answer.stdout, re.MULTILINE)
