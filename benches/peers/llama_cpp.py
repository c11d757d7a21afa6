"""llama.cpp, built on this machine from the sources that PyPI's llama-cpp-python carries."""

import subprocess
import sys
import tarfile
from pathlib import Path

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
TOOLS = ["llama-bench", "llama-perplexity", "llama-completion"]

# The settings of which the best counts as the peer's speed.
SETTINGS = {"default": [], "--repack 0": ["--repack", "0"], "-fa 1": ["-fa", "1"]}


def tools(directory: Path, environment: Path) -> Path:
    """The folder of the programs, fetched and built first if they are not there.

    `environment` is a virtual environment of Python, whose pip knows where packages come from.
    """
    programs = directory / "build" / "bin"
    if all((programs / tool).exists() for tool in TOOLS):
        return programs
    directory.mkdir(parents=True, exist_ok=True)
    bin = environment / "bin"
    run(bin / "pip", "install", "-q", "cmake", "ninja", "scikit-build-core")
    run(bin / "pip", "download", "-q", "--no-binary", ":all:", "--no-deps", "--no-build-isolation",
        "-d", directory, f"{PACKAGE}=={VERSION}")
    name = f"llama_cpp_python-{VERSION}"
    with tarfile.open(directory / f"{name}.tar.gz") as archive:
        archive.extractall(directory, filter="data")
    print("building llama.cpp, which takes some minutes", file=sys.stderr)
    run(bin / "cmake", "-S", directory / name / "vendor" / "llama.cpp", "-B", directory / "build", "-G", "Ninja",
        f"-DCMAKE_MAKE_PROGRAM={bin / 'ninja'}", "-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON",
        "-DLLAMA_CURL=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_SERVER=OFF",
        # Virtual machines may announce AMX and fault on it.
        "-DGGML_AMX_TILE=OFF", "-DGGML_AMX_INT8=OFF", "-DGGML_AMX_BF16=OFF")
    run(bin / "ninja", "-C", directory / "build", *TOOLS)
    return programs


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=sys.stderr)
