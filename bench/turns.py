"""Lets the engine and its peers run the same cases in turn, and writes what each repetition took.

    python3 turns.py --worker WORKER --json FILE [--quick] [--device cpu] [CASE...]

`cargo xtask bench engine` calls this with what it has set up, and prints a table of the file. A machine without Rust needs
only this folder, engine/tests/fixtures/twins.py, a built worker, and Python with torch.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
PEERS = ["published", "tuned", "tuned-compiled", "tuned-bf16", "convolutions"]
# Repetitions that are not counted: the first compiles, chooses algorithms and fills caches.
WARM_UP = 2


class Contender:
    """A program that answers each line with one repetition."""

    def __init__(self, name, command, **environment):
        self.name, self.lines = name, []
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, env=os.environ | environment, **pipes)
        self.about = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"error: {self.name} ended early ({self.process.wait()}): see its messages above")
        return json.loads(line)

    def repeat(self):
        before = self.cpu_seconds()
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.read()
        self.lines.append(line | {"cpu_seconds": self.cpu_seconds() - before})

    def cpu_seconds(self):
        """How long the threads of the program have run."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def engine_command(arguments, case, folder):
    quick = ["--quick"] if arguments.quick else []
    return [arguments.worker, "--bench", case, "--device", arguments.device, *quick, str(folder)]


def measure(case, arguments):
    def seconds(line):
        return line["cpu_seconds"] / steps if arguments.clock == "cpu" else line["seconds"]

    with tempfile.TemporaryDirectory() as folder:
        # The engine goes first: it writes what the peers read.
        contenders = [Contender("engine", engine_command(arguments, case, folder))]
        steps = json.loads((Path(folder) / "case.json").read_text())["steps_per_repetition"]
        if arguments.device != "cpu" and ("/step/" in case or "/bf16/" in case):
            graph = engine_command(arguments, case, folder)
            contenders.append(Contender("engine-graph", graph, CROSSLENS_CUDA_GRAPH="1"))
        for name in arguments.peers:
            if name == "convolutions" and "/step/" not in case:
                continue
            contenders.append(Contender(name, [sys.executable, str(HERE / "peer.py"), name, folder]))
        for turn in range(WARM_UP + arguments.rounds):
            for contender in contenders:
                contender.repeat()
        for contender in contenders:
            contender.end()
    for contender in contenders:
        counted = [seconds(line) for line in contender.lines[WARM_UP:]]
        print(f"{case:34} {contender.name:16} {sorted(counted)[len(counted) // 2]:10.4f} s", file=sys.stderr, flush=True)
    versions = {key: value for contender in contenders for key, value in contender.about.items()}
    return versions, {
        "case": case,
        "contenders": [
            {
                "name": contender.name,
                "seconds": [seconds(line) for line in contender.lines[WARM_UP:]],
                **{key: contender.lines[-1][key] for key in ("loss", "accuracy", "memory_bytes")},
            }
            for contender in contenders
        ],
    }


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    facts = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    flags = facts.get("flags", "").split()
    return facts.get("model name", platform.machine()), [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", required=True)
    parser.add_argument("--json", required=True, help="file to write")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: with one thread, other programs disturb little")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: tries that everything runs, measures nothing")
    parser.add_argument("--peers", type=lambda text: text.split(",") if text else [], default=None)
    parser.add_argument("cases", nargs="*", help="cases, or the beginnings of their names; all by default")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    name, features = processor()
    has_bf16 = arguments.device != "cpu" or any("bf16" in feature for feature in features)
    if arguments.peers is None:
        arguments.peers = [peer for peer in PEERS if has_bf16 or "bf16" not in peer]

    known = subprocess.run([arguments.worker, "--bench"], capture_output=True, text=True, check=True).stdout.split()
    known = [case for case in known if has_bf16 or "/bf16/" not in case]
    chosen = [case for case in known if not arguments.cases or any(case.startswith(begin) for begin in arguments.cases)]
    if not chosen:
        sys.exit(f"error: no case begins with {' or '.join(arguments.cases)}; there are {', '.join(known)}")
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {"processor": name, "features": features, "threads": arguments.threads, "device": arguments.device, "clock": arguments.clock},
        "quick": arguments.quick,
        "cases": [],
    }
    for case in chosen:
        versions, measured = measure(case, arguments)
        result["versions"] = versions
        result["cases"].append(measured)
        # After each case: a benchmark that is ended early has measured what it has.
        Path(arguments.json).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
