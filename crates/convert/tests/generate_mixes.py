#!/usr/bin/env python3
"""Packs the types that llama.cpp chooses for the tensors of a few models, mix by mix, into tests/data/mixes/.

    python3 generate_mixes.py /path/to/llama.cpp/tests/snapshots

A snapshot lists, for each mix, the tensors whose type is not the usual one. Here a line is

    KEY NUMBER                     a key of the architecture
    tensor NAME SHAPE [LAYERS]     a tensor there is; with layers, one in each of them
    mix NAME USUAL                 begins a mix
    NAME TYPE [LAYERS]             tensors of it that have another type

with layers as in 0-3,7. Shapes are not in the snapshots; their rows are those of the published models, the number of rows
is 2 and the number of experts is theirs.
"""

import pathlib
import re
import sys

OUT = pathlib.Path(__file__).parent / "data" / "mixes"

# Name: architecture, keys, usual row, rows by tensor, experts.
MODELS = {
    "qwen3-0.6b": ("qwen3", (28, 16, 8), 1024, {"ffn_down": 3072, "attn_output": 2048}, 0),
    "meta-llama-3.1-70b-instruct": ("llama", (80, 64, 8), 8192, {"ffn_down": 28672}, 0),
    "gemma-3-4b-it": ("gemma3", (34, 8, 4), 2560, {"ffn_down": 10240, "attn_output": 2048}, 0),
    "gpt-oss-120b": ("gpt-oss", (36, 64, 8), 2880, {"attn_output": 4096}, 128),
    "glm-4.6v": (
        "glm4moe", (46, 96, 8), 4096,
        {"ffn_down": 10944, "ffn_down_exps": 1408, "ffn_down_shexp": 1408, "attn_output": 12288}, 128,
    ),
}


def ranges(numbers):
    parts = []
    for number in sorted(numbers):
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def split(name):
    """The name within its layer, and the layer."""
    found = re.fullmatch(r"blk\.(\d+)\.(.*)", name)
    return (found[2], int(found[1])) if found else (name, None)


def grouped(names):
    """Lines of names with the layers of each."""
    layers = {}
    for name in names:
        inner, layer = split(name)
        layers.setdefault(inner, [])
        if layer is not None:
            layers[inner].append(layer)
    return {inner: " " + ranges(numbers) if numbers else "" for inner, numbers in layers.items()}


def read(path):
    mixes = []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            name, usual = re.fullmatch(r"\[(\w+)\] (\w+)", line).groups()
            mixes.append((name, usual, []))
        elif line and not line.startswith("#"):
            mixes[-1][2].append(line.rsplit(" ", 1))
    return mixes


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for model, (architecture, keys, usual_row, rows, experts) in MODELS.items():
        mixes = read(pathlib.Path(sys.argv[1]) / f"{model}.schema")
        lines = [f"architecture {architecture}"]
        names = ("block_count", "attention.head_count", "attention.head_count_kv")
        lines += [f"{name} {number}" for name, number in zip(names, keys)] + [f"expert_count {experts}"] * (experts > 0)
        tensors = {name for _, _, others in mixes for name, _ in others}
        for inner, layers in sorted(grouped(tensors).items()):
            shape = f"{rows.get(inner.removesuffix('.weight'), usual_row)}x2"
            lines.append(f"tensor {inner} {shape}{f'x{experts}' if '_exps' in inner else ''}{layers}")
        for mix, usual, others in mixes:
            lines.append(f"mix {mix} {usual}")
            types = sorted({kind for _, kind in others})
            for kind in types:
                chosen = grouped(name for name, other in others if other == kind)
                lines += [f"{inner} {kind}{layers}" for inner, layers in sorted(chosen.items())]
        (OUT / f"{model}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
