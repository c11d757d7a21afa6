#!/usr/bin/env python3
"""Ascua beside llama.cpp (and Transformers) on this machine: ratios of speed, in one table.

    python3 benches/peers/run.py                         everything but Transformers; hours on two cores
    python3 benches/peers/run.py --only Q4_K_M,Q8_0 --rounds 3 --prompt 128 --generate 16
    python3 benches/peers/run.py --parts speed,start,busy,perplexity,transformers --text wiki.test.raw
    python3 benches/peers/run.py --isa avx2              as on a machine without AVX-512
    python3 benches/peers/run.py --write docs/benchmarks.md

llama.cpp is fetched from PyPI and built natively into target/peers the first time. The programs take turns: in each
round each of them and each of the peer's settings is measured once, and a round gives one ratio. The peer's setting is
the one with the best median. A ratio above 1 means that Ascua is faster; the brackets hold its least and greatest.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import venv
from pathlib import Path

import llama_cpp
import tables
import transformers_peer
from programs import Ascua, LlamaCpp, Test

ROOT = Path(__file__).resolve().parents[2]
SHAPES = [("1b", type) for type in
          "Q4_K_M Q4_0 IQ4_NL MXFP4 Q4_1 Q8_0 Q5_K_M Q6_K Q3_K_M Q2_K IQ4_XS F16 BF16".split()] + [("moe", "Q4_K_M")]
# Made and measured where they are asked for.
RARER = "Q5_0 NVFP4 IQ3_S IQ3_XXS IQ2_M IQ2_XS IQ2_XXS IQ1_M IQ1_S TQ2_0 TQ1_0".split()
REAL = ["SmolLM2-135M-Instruct.Q4_1", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M", "gemma-3-270m.Q4_K_M"]
PARTS = ["speed", "depth", "busy", "start", "perplexity", "transformers"]


def main():
    arguments = parse()
    environment = ROOT / "target" / "peers" / "venv"
    if not (environment / "bin" / "pip").exists():
        venv.create(environment, with_pip=True)
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    ours = Ascua(ROOT / "target" / "release" / "ascua", arguments.threads, arguments.isa)
    built = arguments.llama or llama_cpp.tools(ROOT / "target" / "peers" / "llama.cpp", environment, arguments.isa)
    theirs = LlamaCpp(built, arguments.threads)
    subprocess.run([sys.executable, ROOT / ".ci" / "assets.py", "--all"], check=True, stdout=sys.stderr)
    models = list(chosen_models(arguments, ours))

    results = {"machine": machine(), "threads": arguments.threads, "rounds": arguments.rounds,
               "command": "python3 " + " ".join(["benches/peers/run.py", *sys.argv[1:]]),
               "date": time.strftime("%Y-%m-%d"), "commit": commit()}
    prompt, generate = Test(prompt=arguments.prompt), Test(generate=arguments.generate)
    if "speed" in arguments.parts:
        results["speed"] = [row for model in models for row in compare(arguments, ours, theirs, model, [prompt, generate])]
    if "depth" in arguments.parts:
        model = models[0]
        deep = [Test(prompt=arguments.depth), Test(generate=arguments.generate, depth=arguments.depth)]
        results["depth"] = compare(arguments, ours, theirs, model, deep)
    if "busy" in arguments.parts:
        results["busy"] = []
        small = ROOT / "target" / "test-assets" / "models" / f"{REAL[0]}.gguf"
        for hogs in (arguments.threads, 4 * arguments.threads):
            with Hogs(hogs):
                rows = compare(arguments, ours, theirs, small, [Test(prompt=128), Test(generate=16)])
            results["busy"] += [{**row, "model": f"{row['model']}, {hogs} other busy threads"} for row in rows]
    if "start" in arguments.parts:
        results["start"] = [start(arguments, ours, theirs, model) for model in models]
    if "perplexity" in arguments.parts:
        results["perplexity"] = [perplexity(arguments, ours, theirs, name) for name in REAL]
    if "transformers" in arguments.parts:
        results["transformers"] = transformers_peer.compare(arguments, ours, environment, ROOT)

    text = tables.markdown(results)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    if arguments.write:
        tables.put(arguments.write, text)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=PARTS[:4], help=f"of {', '.join(PARTS)}")
    parser.add_argument("--only", type=lambda text: text.split(","),
                        help=f"types (1B shape; also {', '.join(RARER)}) and parts of models' names")
    parser.add_argument("--model", type=Path, action="append", default=[], help="a further model file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=1, help="runs of a program in a round")
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=128)
    parser.add_argument("--depth", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--isa", choices=[level for level in llama_cpp.LEVELS if level],
                        help="both programs as on a machine that has no more than that (--llama: a build for it)")
    parser.add_argument("--text", type=Path, help="text for perplexity: wikitext-2's test part, usually")
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--llama", type=Path, help="folder of llama.cpp's programs, if they are built already")
    parser.add_argument("--models", type=Path, default=ROOT / "target" / "peers" / "models", help="folder of random models")
    parser.add_argument("--json", type=Path, help="write all samples there")
    parser.add_argument("--write", type=Path, help="replace the tables in this Markdown file")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.write and not tables.has_place(arguments.write):
        parser.error(f"--write {arguments.write}: there is no such page with the two lines that tables stand between")
    if "perplexity" in arguments.parts and not arguments.text:
        parser.error("perplexity needs --text FILE")
    return arguments


def chosen_models(arguments, ours):
    wanted = lambda name: not arguments.only or any(part in name for part in arguments.only)
    arguments.models.mkdir(parents=True, exist_ok=True)
    for shape, type in SHAPES:
        # Types are asked for whole: Q4_K_M is no part of another.
        if not arguments.only or type in arguments.only and shape == "1b" or shape in arguments.only:
            yield ours.write_shape(shape, type, arguments.models)
    for type in RARER:
        if type in (arguments.only or []):
            yield ours.write_shape("1b", type, arguments.models)
    for name in REAL:
        if wanted(name):
            yield ROOT / "target" / "test-assets" / "models" / f"{name}.gguf"
    yield from arguments.model


def compare(arguments, ours, theirs, model, tests):
    """A row for each test: all samples of both sides, in turn."""
    rows = []
    for test in tests:
        samples, peers = [], {name: [] for name in llama_cpp.SETTINGS}
        for _ in range(arguments.rounds):
            samples.append(ours.speed(model, test, arguments.repeats))
            for name, flags in llama_cpp.SETTINGS.items():
                peers[name].append(theirs.speed(model, test, arguments.repeats, flags))
        row = {"model": model.stem, "test": str(test), "ours": samples, "peers": peers}
        print(tables.line(row), file=sys.stderr, flush=True)
        rows.append(row)
    return rows


def start(arguments, ours, theirs, model):
    """Seconds from the command to its end with one token, the file in the page cache; peak memory."""
    with open(model, "rb") as file:
        while file.read(1 << 24):
            pass
    pairs = [(ours.first_token(model), theirs.first_token(model)) for _ in range(arguments.rounds)]
    return {"model": model.stem, "bytes": model.stat().st_size,
            "ours": [pair[0] for pair in pairs], "theirs": [pair[1] for pair in pairs]}


def perplexity(arguments, ours, theirs, name):
    model = ROOT / "target" / "test-assets" / "models" / f"{name}.gguf"
    measure = lambda side, *flags: side.perplexity(model, arguments.text, arguments.chunks, *flags)
    return {"model": name, "chunks": arguments.chunks, "ours": measure(ours),
            "exact": measure(ours, "--precision", "exact"), "theirs": measure(theirs)}


class Hogs:
    """Busy processes beside the measurement."""

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        self.children = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(self.count)]

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()


def machine():
    fields = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines())
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    sets = [name for name in ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8")
            if name in fields.get("flags", "").split()]
    return {"processor": fields.get("model name", platform.processor()), "family": fields.get("cpu family", "?"),
            "model": fields.get("model", "?"), "instruction sets": sets, "cores": len(os.sched_getaffinity(0))}


def commit():
    answer = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return answer.stdout.strip()


if __name__ == "__main__":
    main()
