"""The first minutes on a machine with a GPU: checks the engine there, measures it, and trains.

    python3 kit.py --data CIFAR10 --out OUT [--device cuda:0] [--minutes 9] [--precision bf16] [--small]

Needs this folder as `cargo xtask gpu-kit` packs it, and Python with torch 2.11. CIFAR10 is a folder of CIFAR-10 in its binary
layout. Checks and measurements that are done are not repeated when the script is called again; training goes on from where it
was. OUT/results.json has what came out, OUT/kit.log every message. `--small` tries everything in a tiny size, also on a CPU.
"""

import argparse
import importlib.util
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

KIT = Path(__file__).resolve().parent.parent
# Time that the worker gets to save at the end.
SAVING = 20
EPOCHS = 200
USUAL = "published,tuned,tuned-bf16"
# Cases and peers, in this order until their share of the time is spent. torch.compile takes minutes.
CASES = [
    ("preact-resnet18/step/pgd_at/train", USUAL),
    ("preact-resnet18/bf16/pgd_at/train", USUAL),
    ("wide-resnet34-10/step/pgd_at/train", USUAL),
    ("deit-tiny/step/pgd_at/train", USUAL),
    ("demo/step/pgd_at/train", USUAL),
    ("preact-resnet18/step/trades/eval", USUAL),
    ("preact-resnet18/evaluate", "tuned"),
    ("preact-resnet18/step/pgd_at/train", "tuned-compiled"),
    ("preact-resnet18/epoch/pgd_at", "tuned"),
]


class Failed(Exception):
    """A check that did not hold; its text says what was seen."""


class Later(Exception):
    """A measurement whose time was up; the next call does it."""


class Kit:
    def __init__(self, arguments):
        self.arguments, self.begun = arguments, time.monotonic()
        self.out = Path(arguments.out).resolve()
        self.out.mkdir(parents=True, exist_ok=True)
        self.log_file = (self.out / "kit.log").open("a")
        self.results_file = self.out / "results.json"
        self.results = json.loads(self.results_file.read_text()) if self.results_file.exists() else {"steps": {}}
        self.environment = os.environ | {"LD_LIBRARY_PATH": os.pathsep.join(libraries())}

    def left(self):
        return self.arguments.minutes * 60 - (time.monotonic() - self.begun)

    def log(self, text):
        line = f"{time.strftime('%H:%M:%S')} {text.rstrip()}"
        print(line, flush=True)
        print(line, file=self.log_file, flush=True)

    def save(self):
        self.results_file.write_text(json.dumps(self.results, indent=1) + "\n")

    def step(self, name, work):
        """Does a step unless an earlier call has done it. A step that fails does not keep the others from being done."""
        if self.results["steps"].get(name, {}).get("ok"):
            return
        begun = time.monotonic()
        try:
            found = {"ok": True, "found": work()}
        except Later as error:
            self.log(f"later  {name}: {error}")
            return
        except (Failed, subprocess.SubprocessError, OSError, ValueError, KeyError, IndexError) as error:
            found = {"ok": False, "found": f"{type(error).__name__}: {error}"}
        self.results["steps"][name] = found | {"seconds": round(time.monotonic() - begun, 1)}
        self.save()
        self.log(f"{'ok    ' if found['ok'] else 'FAILED'} {name}: {found['found']}")

    def run(self, command, timeout=None, **options):
        """Runs a program to its end and returns its exit code and what it said."""
        options = {"env": self.environment} | options
        ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout or max(self.left(), 10), **options)
        print(ended.stdout, ended.stderr, file=self.log_file, flush=True)
        return ended.returncode, ended.stdout, ended.stderr

    def worker(self, directory, *options):
        return [KIT / "worker", *options, directory]

    def directory(self, name, config):
        """Makes a run directory anew."""
        directory = self.out / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        (directory / "config.json").write_text(json.dumps(config, indent=1))
        return directory

    def small_run(self, device):
        return {
            "kind": "train",
            "device": device,
            "data": {"dataset": "digits", "train_samples": 300, "test_samples": 100},
            "model": {"architecture": "preact_resnet_small", "width": 16},
            "training": {"method": "pgd_at", "epochs": 3, "batch_size": 60},
            "attack": {"norm": "linf", "eps": "25.5/255"},
            "evaluation": {"every": 1, "steps": 10},
        }

    # The checks.

    def machine(self):
        code, out, error = self.run([KIT / "worker", "--probe"])
        if code != 0:
            raise Failed(error.strip().splitlines()[-1])
        probe = json.loads(out)
        if self.arguments.device not in [device["id"] for device in probe["devices"]]:
            raise Failed(f"there is no {self.arguments.device}, but {probe}")
        return probe

    def golden(self):
        environment = self.environment | {"CROSSLENS_TEST_DEVICE": self.arguments.device}
        code, out, _ = self.run([KIT / "tests", "precision::", "--test-threads=1"], env=environment)
        tests = [line.removeprefix("test ") for line in out.splitlines() if line.startswith("test ") and "result" not in line]
        if code != 0:
            raise Failed("; ".join(line for line in out.splitlines() if "panicked" in line or "FAILED" in line) or f"exit code {code}")
        return tests

    def resume(self):
        """A run that is killed goes on from what it has saved, and ends as one that is not."""
        whole, killed = (self.directory(name, self.small_run(self.arguments.device)) for name in ("whole", "killed"))
        code, _, error = self.run(self.worker(whole))
        if code != 0:
            raise Failed(error)
        process = subprocess.Popen(self.worker(killed, "--save-secs", "0"), env=self.environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(epochs(killed)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        process.wait()
        at = len(epochs(killed))
        code, _, error = self.run(self.worker(killed))
        if code != 0:
            raise Failed(error)
        losses = [[epoch["train_loss"] for epoch in epochs(directory)] for directory in (whole, killed)]
        # The same bits on a CPU; on a GPU cuDNN may choose another algorithm each time.
        tolerance = 0 if self.arguments.device == "cpu" else 0.05
        if any(abs(a - b) > tolerance * abs(a) for a, b in zip(*losses, strict=True)):
            raise Failed(f"losses {losses}")
        return {"killed_after_epochs": at, "losses": losses}

    def second_device(self):
        second = "cuda:1"
        _, out, _ = self.run([KIT / "worker", "--probe"])
        if second not in [device["id"] for device in json.loads(out)["devices"]]:
            return "there is one device"
        directory = self.directory("second", self.small_run(second))
        code, _, error = self.run(self.worker(directory))
        if code != 0:
            raise Failed(error)
        return {"device": started(directory)["device_name"], "losses": [epoch["train_loss"] for epoch in epochs(directory)]}

    def out_of_memory(self):
        """A batch that does not fit ends the run with a sentence that says so."""
        on_cpu = self.arguments.device == "cpu"
        config = self.small_run(self.arguments.device)
        count = 2000 if on_cpu else 50_000
        config["data"] = {"dataset": "synthetic", "train_samples": count, "test_samples": 100}
        config["model"] = {"architecture": "preact_resnet18"}
        config["training"] |= {"batch_size": count, "epochs": 1}
        # On a CPU the system would give memory that it does not have, and then kill something.
        limit = (lambda: resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))) if on_cpu else None
        code, _, error = self.run(self.worker(self.directory("too_large", config)), preexec_fn=limit)
        sentence = error.strip().splitlines()[-1] if error.strip() else ""
        if code in (0, -signal.SIGKILL) or "memory" not in sentence:
            raise Failed(f"exit code {code}, {sentence!r}")
        return {"exit_code": code, "sentence": sentence}

    def measure(self, case, peers, until):
        def work():
            file = self.out / f"{case.replace('/', '-')}-{peers.replace(',', '-')}.json"
            quick = ["--quick"] if self.arguments.small else []
            command = [sys.executable, KIT / "bench/turns.py", "--worker", KIT / "worker", "--json", file, "--device", self.arguments.device]
            options = ["--rounds", 3, "--peers", peers, *quick, case]
            try:
                code, _, error = self.run([*command, *options], timeout=max(until - time.monotonic(), 10))
            except subprocess.TimeoutExpired as error:
                raise Later(f"the time for measurements was up after {error.timeout:.0f} s") from error
            if code != 0:
                raise Failed(error.strip().splitlines()[-1])
            (measured,) = json.loads(file.read_text())["cases"]
            of = {contender["name"]: contender for contender in measured["contenders"]}
            seconds = {name: sorted(contender["seconds"])[len(contender["seconds"]) // 2] for name, contender in of.items()}
            return {"seconds": seconds, "loss": {name: contender["loss"] for name, contender in of.items()}}

        return work

    def train(self):
        """Trains the recipe of experiment E1 on all of CIFAR-10 for as long as is left, and goes on where it was."""
        known = self.results.get("e1", {})
        if known.get("complete") and known["precision"] == self.arguments.precision:
            self.log("E1 is complete")
            return
        small = self.arguments.small
        config = {
            "kind": "train",
            "name": f"E1, {self.arguments.precision}, {self.arguments.data_name}",
            "device": self.arguments.device,
            "precision": self.arguments.precision,
            "data": {"dataset": "cifar10", "path": str(Path(self.arguments.data).resolve()), "augment": True},
            "model": {"architecture": "preact_resnet18"},
            "training": {"method": "pgd_at", "epochs": EPOCHS, "milestones": [100, 150]},
            "attack": {"norm": "linf", "eps": "8/255"},
            "checkpoints": {"epochs": [10, 70]},
            "attribution": {"every": 1, "inputs": ["adversarial"]},
        }
        if small:
            config["data"] |= {"train_samples": 60, "test_samples": 20}
            config["model"]["width"] = 4
            config["training"] |= {"epochs": 3, "milestones": [2], "batch_size": 20}
            config["checkpoints"]["epochs"] = [2]
        directory = self.out / f"e1-{self.arguments.precision}"
        if not directory.exists():
            self.directory(directory.name, config)
        with (directory / "worker.log").open("a") as log:
            process = subprocess.Popen(self.worker(directory), env=self.environment, stderr=log)
            try:
                process.wait(max(self.left() - SAVING, 1))
            except subprocess.TimeoutExpired:
                # Saved; the next call goes on from there.
                process.send_signal(signal.SIGTERM)
                process.wait(60)
        done = epochs(directory)
        if process.returncode not in (0, 85):
            raise Failed((directory / "worker.log").read_text().strip().splitlines()[-1])
        self.results["e1"] = {
            "data": self.arguments.data_name,
            "precision": self.arguments.precision,
            "complete": process.returncode == 0,
            "epochs": done,
        }
        self.save()
        self.log(f"E1: {len(done)} epochs are done; the last: {done[-1] if done else 'none'}")

    def everything(self):
        failed = []
        self.log(f"{self.arguments.minutes} minutes on {self.arguments.device}")
        self.step("machine", self.machine)
        self.step("golden numbers", self.golden)
        self.step("resume after a kill", self.resume)
        self.step("second device", self.second_device)
        self.step("out of memory", self.out_of_memory)
        # Half of what is left for measurements.
        until = time.monotonic() + self.left() / 2
        for case, peers in CASES:
            if time.monotonic() < until - 10:
                self.step(f"{case} beside {peers}", self.measure(case, peers, until))
        if self.arguments.data is None:
            self.log("no --data: nothing is trained")
        elif self.left() > 2 * SAVING:
            try:
                self.train()
            except Failed as error:
                self.log(f"FAILED E1: {error}")
                failed.append("E1")
        failed += [name for name, step in self.results["steps"].items() if not step["ok"]]
        self.log(f"failed: {', '.join(failed)}" if failed else "nothing failed")
        return 1 if failed else 0


def libraries():
    """Folders of the libraries of the torch that this Python has, and of CUDA beside it."""
    found = importlib.util.find_spec("torch")
    if found is None:
        sys.exit("error: this Python has no torch; install torch 2.11")
    torch = Path(found.submodule_search_locations[0])
    return [str(folder) for folder in [torch / "lib", *sorted((torch.parent / "nvidia").glob("*/lib"))]]


def records(directory, kind):
    file = directory / "metrics.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    whole = (json.loads(line) for line in lines if line.endswith("}"))
    return [record for record in whole if record["type"] == kind]


def epochs(directory):
    """The records of a run's epochs: those after it was resumed replace those before."""
    return list({record["epoch"]: record for record in records(directory, "epoch")}.values())


def started(directory):
    return records(directory, "started")[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of CIFAR-10 in its binary layout; without it nothing is trained")
    parser.add_argument("--data-name", default="CIFAR-10", help="what results call it, such as a copy that was compressed")
    parser.add_argument("--out", required=True, help="folder of results, also of earlier calls")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--minutes", type=float, default=9, help="when to end")
    parser.add_argument("--precision", choices=["float32", "bf16"], default="bf16", help="of the training run")
    parser.add_argument("--small", action="store_true", help="everything in a tiny size")
    return Kit(parser.parse_args()).everything()


if __name__ == "__main__":
    sys.exit(main())
