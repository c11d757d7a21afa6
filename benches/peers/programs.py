"""One measurement of each program: a process of its own, so that the next one meets a machine at rest."""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Test:
    """Tokens per second of a prompt (`prompt` > 0) or of generation, with `depth` tokens before."""

    prompt: int = 0
    generate: int = 0
    depth: int = 0

    def __str__(self):
        name = f"pp{self.prompt}" if self.prompt else f"tg{self.generate}"
        return name + (f" @ {self.depth}" if self.depth else "")

    def flags(self):
        return ["-p", str(self.prompt), "-n", str(self.generate), "-d", str(self.depth)]


# Types that no mix has for ordinary weights: the mix to begin with, and what is changed in it.
OF_OTHERS = {"MXFP4": ("Q4_0", ["--tensor-type", "attn|ffn=mxfp4"])}


class Ascua:
    def __init__(self, program: Path, threads: int, level: str | None = None):
        self.program, self.threads = program, threads
        self.level = ["--isa", level] if level else []

    def speed(self, model: Path, test: Test, repeats: int) -> float:
        command = [self.program, "bench", model, *test.flags(), "-t", self.threads, "-r", repeats, "--json",
                   *self.level]
        rows = json.loads(output(command))
        return next(row["median"] for row in rows if row["prompt"] == test.prompt)

    def write_shape(self, shape: str, type: str, directory: Path) -> Path:
        """A model of random weights, written once."""
        before = set(directory.glob("*.gguf"))
        path = directory / f"{shape}.{type}.gguf"
        if not path.exists() and type in OF_OTHERS:
            mix, flags = OF_OTHERS[type]
            output([self.program, "quantize", self.write_shape(shape, "F16", directory), path, mix, *flags])
        if not path.exists():
            output([self.program, "bench", "--shape", shape, "--type", type, "--directory", directory,
                    "-p", 1, "-n", 0, "-r", 1])
        if not path.exists():
            new = set(directory.glob("*.gguf")) - before
            raise SystemExit(f"error: {path} was not written (new: {sorted(map(str, new))})")
        return path

    def first_token(self, model: Path):
        return spent([self.program, "run", model, "--raw", "-n", 1, "--temp", 0, "-t", self.threads, "-c", 512, "-p", "Hello",
                      *self.level])

    def perplexity(self, model: Path, text: Path, chunks: int, *flags) -> float:
        rows = output([self.program, "perplexity", model, text, "-c", 512, "--chunks", chunks,
                       "-t", self.threads, "--json", *self.level, *flags])
        return json.loads(rows)["ppl"]


class LlamaCpp:
    def __init__(self, tools: Path, threads: int):
        self.tools, self.threads = tools, threads

    def speed(self, model: Path, test: Test, repeats: int, setting) -> float:
        command = [self.tools / "llama-bench", "-m", model, *test.flags(), "-t", self.threads, "-r", repeats,
                   "-o", "json", *setting]
        samples = json.loads(output(command))[0]["samples_ts"]
        return sorted(samples)[len(samples) // 2]

    def first_token(self, model: Path):
        return spent([self.tools / "llama-completion", "-m", model, "-n", 1, "--temp", 0, "-t", self.threads,
                      "-c", 512, "-no-cnv", "-p", "Hello"])

    def perplexity(self, model: Path, text: Path, chunks: int) -> float:
        command = [self.tools / "llama-perplexity", "-m", model, "-f", text, "-c", 512, "--chunks", chunks,
                   "-t", self.threads]
        lines = output(command, errors=True)
        final = next(line for line in lines.splitlines() if "Final estimate: PPL" in line)
        return float(final.split("=")[1].split()[0])


def output(command, errors=False) -> str:
    command = [str(part) for part in command]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if errors else subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True)
    if done.returncode:
        raise SystemExit(f"error: {' '.join(command)} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def spent(command):
    """Seconds and bytes of peak memory that a command took."""
    begin = time.monotonic()
    child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"error: {' '.join(map(str, command))} ended with {child.returncode}")
    return time.monotonic() - begin, usage.ru_maxrss * 1024
