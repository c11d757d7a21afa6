#!/usr/bin/env python3
"""Writes the golden data of this crate's tests to tests/data/.

    python3 generate.py /path/to/libggml-base.so

Needs numpy, PyPI's `gguf`, and the shared library of llama.cpp that holds ggml-quants.c and ggml.c. Where `gguf` knows a
type, its values are the expected ones and the C functions must agree with them; elsewhere the C functions stand alone.

A file is one line of text (what it is, and how it was made), then little-endian data:
    decode_TYPE.bin: blocks, then their elements as F32
    encode_TYPE.bin: values as F32, then their blocks
The number of blocks follows from the size of the file.
"""

import ctypes
import os
import pathlib
import sys

import gguf
import numpy as np
from gguf.constants import GGMLQuantizationType as Type

DATA = pathlib.Path(__file__).parent / "data"

# Type: (elements, bytes, offsets of half-precision scales). Scales of another kind are set in test_blocks.
BLOCKS = {
    "Q4_0": (32, 18, [0]), "Q4_1": (32, 20, [0, 2]), "Q5_0": (32, 22, [0]), "Q5_1": (32, 24, [0, 2]),
    "Q8_0": (32, 34, [0]), "Q8_1": (32, 36, [0, 2]),
    "Q2_K": (256, 84, [80, 82]), "Q3_K": (256, 110, [108]), "Q4_K": (256, 144, [0, 2]), "Q5_K": (256, 176, [0, 2]),
    "Q6_K": (256, 210, [208]), "Q8_K": (256, 292, []),
    "IQ1_S": (256, 50, [0]), "IQ1_M": (256, 56, []), "IQ2_XXS": (256, 66, [0]), "IQ2_XS": (256, 74, [0]),
    "IQ2_S": (256, 82, [0]), "IQ3_XXS": (256, 98, [0]), "IQ3_S": (256, 110, [0]), "IQ4_NL": (32, 18, [0]),
    "IQ4_XS": (256, 136, [0]), "TQ1_0": (256, 54, [52]), "TQ2_0": (256, 66, [64]),
    "MXFP4": (32, 17, []), "NVFP4": (64, 36, []), "Q1_0": (128, 18, [0]), "Q2_0": (64, 18, [0]),
}
PLAIN = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
ENCODERS = [
    "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q8_K", "Q1_0", "Q2_0", "TQ1_0", "TQ2_0", "MXFP4", "NVFP4",
]
# Zero, minus zero, smallest and largest subnormal, smallest normal, largest, infinities, NaN, one.
SPECIAL_HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E01, 0x3C00]
SPECIAL_SINGLES = [
    0x00000000, 0x80000000, 0x00000001, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00001, 0x3F800000,
]


def c_name(name):
    return name.lower().replace("_k", "_K")


def same(a, b):
    """Bit for bit, but any NaN is every NaN."""
    a, b = a.view(np.uint32), b.view(np.uint32)
    nan = lambda x: (x & 0x7FFFFFFF) > 0x7F800000
    return np.array_equal(a[~(nan(a) & nan(b))], b[~(nan(a) & nan(b))])


def write(name, kind, source, *arrays):
    head = f"{name} {kind}; {source}\n".encode()
    (DATA / f"{kind}_{name}.bin").write_bytes(head + b"".join(array.tobytes() for array in arrays))


def test_blocks(name, rng):
    elements, size, halves = BLOCKS[name]
    plenty = 10 if elements == 256 else 24
    blocks = rng.integers(0, 256, (plenty, size), dtype=np.uint8)
    patterns = np.array([[0x00], [0xFF], [0x55], [0xAA], [0x80], [0x7F]], np.uint8).repeat(size, axis=1)
    specials = [blocks, patterns]

    def with_bytes(offset, data):
        block = rng.integers(0, 256, size, dtype=np.uint8)
        block[offset : offset + len(data)] = np.frombuffer(data, np.uint8)
        # The other scale, if there is one, stays moderate.
        for other in halves:
            if other != offset:
                block[other : other + 2] = np.frombuffer(np.float16(rng.normal()).tobytes(), np.uint8)
        specials.append(block[None])

    for offset in halves:
        for half in SPECIAL_HALVES:
            with_bytes(offset, half.to_bytes(2, "little"))
    if name == "Q8_K":
        for single in SPECIAL_SINGLES:
            with_bytes(0, single.to_bytes(4, "little"))
    if name == "MXFP4":
        for exponent in range(256):
            with_bytes(0, bytes([exponent]))
    if name == "NVFP4":
        for scale in range(0, 256, 4):
            with_bytes(0, bytes(range(scale, scale + 4)))
    if name == "IQ1_M":
        for half in SPECIAL_HALVES:
            block = rng.integers(0, 256, size, dtype=np.uint8)
            for quarter in range(4):
                upper = 48 + 2 * quarter + 1
                block[upper] = (block[upper] & 0x0F) | ((half >> (4 * quarter)) & 0xF) << 4
            specials.append(block[None])
    return np.concatenate(specials)


def q8_1_values(blocks):
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    with np.errstate(all="ignore"):
        return scales * blocks[:, 4:].view(np.int8).astype(np.float32)


def decode_data(ggml, rng):
    for name, (elements, size, _) in BLOCKS.items():
        blocks = np.ascontiguousarray(test_blocks(name, rng))
        by_c = np.empty(len(blocks) * elements, np.float32)
        if name == "Q8_1":
            # An activation format that nothing decodes: the definition.
            write(name, "decode", "values by numpy", blocks, q8_1_values(blocks))
            continue
        function = getattr(ggml, f"dequantize_row_{c_name(name)}")
        function(blocks.ctypes.data_as(ctypes.c_void_p), by_c.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(by_c.size))
        source = "values by llama.cpp, dequantize_row"
        expected = by_c
        kind = getattr(Type, name, None)
        if kind in gguf.quants._type_traits:
            with np.errstate(all="ignore"):
                by_gguf = gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)
            if same(by_gguf, by_c):
                source = f"values by gguf {VERSION} and llama.cpp, dequantize_row"
            else:
                differ = int((by_gguf.view(np.uint32) != by_c.view(np.uint32)).sum())
                print(f"{name}: gguf and C differ in {differ} of {by_c.size} values", file=sys.stderr)
        write(name, "decode", source, blocks, expected)
    for name, dtype in PLAIN.items():
        values = rng.integers(0, 256, 64 * np.dtype(dtype).itemsize, dtype=np.uint8).view(dtype)
        extra = {
            "F32": np.array(SPECIAL_SINGLES, "<u4").view("<f4"),
            "F16": np.arange(0, 65536, 7, dtype="<u2").view("<f2"),
            "F64": np.array([0.0, -0.0, 1e300, -1e300, 1e-300, 1e-42, np.inf, np.nan, 1 + 2.0**-24, 3.0e-46], "<f8"),
        }.get(name)
        if extra is None:
            limits = np.iinfo(dtype)
            extra = np.array([limits.min, limits.max, 0, -1, 1], dtype)
            if limits.bits > 16:
                extra = np.concatenate([extra, np.array([2**24 + 1, 2**24 + 3, -(2**24) - 1], dtype)])
        values = np.concatenate([values, extra])
        with np.errstate(all="ignore"):
            write(name, "decode", "values by numpy", values, values.astype("<f4"))
    bits = np.arange(0, 65536, 7, dtype="<u2")
    write("BF16", "decode", "values by numpy", bits, bits.astype("<u4") << 16)


def test_values(elements, rng):
    gauss = lambda scale: (rng.normal(size=(1, elements)) * scale).astype(np.float32)
    full = lambda value: np.full((1, elements), value, np.float32)
    rows = [gauss(scale) for scale in (1.0, 1.0, 0.02, 0.02, 37.5, 1e-6, 1e-20, 1e6, 1e20)]
    # Magnitudes where a scale or its inverse is subnormal, infinite in half precision, or infinite.
    rows += [gauss(scale) for scale in (1e-36, 1e-38, 1e-39, 1e-41, 3e-43, 1e37)]
    rows += [full(value) for value in (0.0, -0.0, 1.0, -1.0, 3.4028235e38, -3.4028235e38, 1e-45, 65504.0, 65536.0 * 7)]
    zeros = full(0.0)
    zeros[:, ::2] = -0.0
    rows += [zeros, -zeros]
    # Ties: halves of the step, of either sign, under scales that are exact.
    for step in (1.0, 0.25, 1.0 / 127.0):
        for top in (7.5, 15.0, 127.0, 31.0, 8.0, 16.0):
            ties = (rng.integers(-254, 255, (1, elements)) / 2.0).clip(-top, top)
            ties[0, 0] = top
            rows.append((ties * step).astype(np.float32))
            rows.append((-ties * step).astype(np.float32))
            rows.append((np.abs(ties) * step).astype(np.float32))
    huge = gauss(1e38)
    huge[0, :2] = 3.4e38, -3.4e38
    single = full(0.0)
    single[0, elements // 3] = -2.5
    equal = full(2.0)
    equal[0, 1::2] = -2.0
    rows += [huge, single, equal, -equal, np.abs(gauss(1.0)), -np.abs(gauss(1.0))]
    for special in (np.inf, -np.inf, np.nan):
        for place in (0, elements // 2, elements - 1):
            row = gauss(1.0)
            row[0, place] = special
            rows.append(row)
        rows.append(full(special))
    # Ternary data as it should be.
    rows.append((rng.integers(-1, 2, (1, elements)) * 0.75).astype(np.float32))
    # Steps through the exponents of the small float formats.
    for power in range(-12, 13):
        row = gauss(1.0)
        row *= np.float32(2.0**power * 1.4) / np.abs(row).max()
        rows.append(row)
    values = np.concatenate(rows)
    if elements == 256:
        values = np.concatenate([values[:40], values[-42:]])
    return np.ascontiguousarray(values)


def encode_data(ggml, rng):
    for name in ENCODERS:
        elements, size, _ = BLOCKS[name]
        values = test_values(elements, rng)
        blocks = np.zeros((len(values), size), np.uint8)
        function = getattr(ggml, f"quantize_row_{c_name(name)}_ref")
        function(values.ctypes.data_as(ctypes.c_void_p), blocks.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(values.size))
        write(name, "encode", "blocks by llama.cpp, quantize_row_ref", values, blocks)
    values = np.concatenate([
        rng.integers(0, 2**32, 4000, dtype=np.uint32),
        np.array(SPECIAL_SINGLES, np.uint32),
        # Around every half-precision number's midpoint to the next.
        (np.arange(0, 65536, 53, dtype="<u2").view("<f2").astype("<f4").view("<u4") + 0x1000),
        (np.arange(0, 65536, 53, dtype="<u2").view("<f2").astype("<f4").view("<u4") + 0x1001),
        (np.array([65504.0, 65519.99, 65520.0, 65536.0, 2.0**-25, 2.0**-24, 3e-8, 6.1e-5], "<f4").view("<u4")),
    ]).astype("<u4").view("<f4")
    values = np.ascontiguousarray(values)
    for name, function in (("F16", ggml.ggml_fp32_to_fp16_row), ("BF16", ggml.ggml_fp32_to_bf16_row_ref)):
        blocks = np.zeros(values.size, np.uint16)
        function(values.ctypes.data_as(ctypes.c_void_p), blocks.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(values.size))
        write(name, "encode", f"numbers by llama.cpp, {function.__name__}", values, blocks)


if __name__ == "__main__":
    VERSION = __import__("importlib.metadata").metadata.version("gguf")
    library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_LAZY)
    DATA.mkdir(exist_ok=True)
    decode_data(library, np.random.default_rng(1))
    encode_data(library, np.random.default_rng(2))
