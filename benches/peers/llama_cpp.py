"""llama.cpp, built on this machine from the sources that PyPI's llama-cpp-python carries."""

import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
TOOLS = ["llama-bench", "llama-perplexity", "llama-completion"]

# What a build for this machine itself is made with, and one for all that has a level of instructions.
LEVELS = {
    None: ["-DGGML_NATIVE=ON"],
    "sse4.1": ["-DGGML_NATIVE=OFF", "-DGGML_SSE42=ON"] + [f"-DGGML_{part}=OFF" for part in "AVX AVX2 FMA F16C BMI2 AVX512".split()],
    "avx2": ["-DGGML_NATIVE=OFF", "-DGGML_AVX512=OFF"] + [f"-DGGML_{part}=ON" for part in "SSE42 AVX AVX2 FMA F16C BMI2".split()],
    "avx512": ["-DGGML_NATIVE=OFF"] + [f"-DGGML_{part}=ON" for part in "SSE42 AVX AVX2 FMA F16C BMI2 AVX512".split()],
}

# The settings of which the best counts as the peer's speed.
SETTINGS = {"default": [], "--repack 0": ["--repack", "0"], "-fa 1": ["-fa", "1"]}


def tools(directory: Path, environment: Path, level: str | None = None) -> Path:
    """The folder of the programs, fetched and built first if they are not there, for a level of `LEVELS`.

    `environment` is a virtual environment of Python, whose pip knows where packages come from.
    """
    build = directory / ("build" if level is None else f"build-{level}")
    programs = build / "bin"
    if all((programs / tool).exists() for tool in TOOLS):
        return programs
    directory.mkdir(parents=True, exist_ok=True)
    bin = environment / "bin"
    run(bin / "pip", "install", "-q", "cmake", "ninja", "scikit-build-core")
    if not (directory / f"llama_cpp_python-{VERSION}.tar.gz").exists():
        run(bin / "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "--no-build-isolation",
            "-d", directory, f"{PACKAGE}=={VERSION}")
    name = f"llama_cpp_python-{VERSION}"
    with tarfile.open(directory / f"{name}.tar.gz") as archive:
        archive.extractall(directory, filter="data")
    print("building llama.cpp, which takes some minutes", file=sys.stderr)
    run(bin / "cmake", "-S", directory / name / "vendor" / "llama.cpp", "-B", build, "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={bin / 'ninja'}", "-DCMAKE_BUILD_TYPE=Release", *LEVELS[level],
        "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_SERVER=OFF",
        # Virtual machines may announce AMX and fault on it.
        "-DGGML_AMX_TILE=OFF", "-DGGML_AMX_INT8=OFF", "-DGGML_AMX_BF16=OFF")
    run(bin / "ninja", "-C", build, *TOOLS)
    return programs


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)
