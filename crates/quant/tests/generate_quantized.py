#!/usr/bin/env python3
"""Writes what llama.cpp makes of a few rows, with and without importance, to tests/data/.

    python3 generate_quantized.py /path/to/libggml-base.so

Needs numpy and the shared library of llama.cpp that holds ggml-quants.c and ggml.c. A file is one line of text (what it
is), then little-endian data:
    quantize_rows.bin: the importances of COLUMNS columns, then the rows, all F32
    quantize_TYPE.bin: the rows as blocks without importance, then the rows as blocks with it
Types that llama.cpp refuses without importance are given importances of one instead.
"""

import ctypes
import pathlib
import sys

import numpy as np

DATA = pathlib.Path(__file__).parent / "data"
COLUMNS = 512

# Type: id.
TYPES = {
    "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8,
    "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14,
    "IQ2_XXS": 16, "IQ2_XS": 17, "IQ3_XXS": 18, "IQ4_NL": 20, "IQ3_S": 21, "IQ2_S": 22, "IQ4_XS": 23,
    "IQ1_S": 19, "IQ1_M": 29,
    "TQ1_0": 34, "TQ2_0": 35, "MXFP4": 39, "NVFP4": 40, "Q1_0": 41, "Q2_0": 42,
}
NEED_IMPORTANCE = {"IQ2_XXS", "IQ2_XS", "IQ1_S"}


def test_rows(rng):
    gauss = lambda scale: rng.normal(size=COLUMNS) * scale
    rows = [gauss(0.02), gauss(0.02), gauss(1.0), gauss(300.0), rng.standard_t(2, COLUMNS) * 0.01]
    # Outliers, groups of other sizes, one-sided groups, elements of one magnitude, ternary data, and nothing at all.
    outliers = gauss(0.02)
    outliers[rng.integers(0, COLUMNS, 12)] *= 40
    uneven = gauss(0.02) * np.repeat(np.exp(rng.normal(size=COLUMNS // 16) * 2), 16)
    shifted = gauss(0.01) + np.repeat(rng.choice([-0.05, 0.0, 0.05], COLUMNS // 32), 32)
    signs = rng.choice([-0.5, 0.5], COLUMNS)
    ternary = rng.integers(-1, 2, COLUMNS) * 0.03
    sparse = gauss(0.1) * (rng.random(COLUMNS) < 0.03)
    halved = gauss(0.02)
    halved[COLUMNS // 2 :] = 0.0
    tiny = gauss(1e-9)
    rows += [outliers, uneven, shifted, signs, ternary, sparse, halved, tiny, np.zeros(COLUMNS)]
    return np.ascontiguousarray(np.array(rows), np.float32)


def main():
    ggml = ctypes.CDLL(sys.argv[1])
    ggml.ggml_row_size.restype = ctypes.c_size_t
    rng = np.random.default_rng(3)
    rows = test_rows(rng)
    importance = np.exp(rng.normal(size=COLUMNS) * 1.5).astype(np.float32)
    importance[rng.integers(0, COLUMNS, 5)] = 0.0
    head = f"{len(rows)} rows of {COLUMNS} columns\n".encode()
    (DATA / "quantize_rows.bin").write_bytes(head + importance.tobytes() + rows.tobytes())
    pointer = lambda array: None if array is None else array.ctypes.data_as(ctypes.c_void_p)
    for name, number in TYPES.items():
        ggml.ggml_quantize_init(number)
        out = []
        for weights in (np.ones(COLUMNS, np.float32) if name in NEED_IMPORTANCE else None, importance):
            blocks = np.zeros((len(rows), ggml.ggml_row_size(number, ctypes.c_int64(COLUMNS))), np.uint8)
            count, columns = ctypes.c_int64(len(rows)), ctypes.c_int64(COLUMNS)
            ggml.ggml_quantize_chunk(number, pointer(rows), pointer(blocks), ctypes.c_int64(0), count, columns, pointer(weights))
            out.append(blocks.tobytes())
        (DATA / f"quantize_{name}.bin").write_bytes(f"{name} by llama.cpp, ggml_quantize_chunk\n".encode() + b"".join(out))


if __name__ == "__main__":
    main()
