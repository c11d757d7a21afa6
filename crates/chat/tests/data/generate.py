#!/usr/bin/env python3
"""Renders chat templates with Jinja2, in the environment of Hugging Face's transformers, as the expected output of tests.

Usage: generate.py CASES.json TEMPLATE_DIRECTORY OUTPUT.json
"""
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from jinja2 import nodes

# The time that the tests give to `strftime_now`.
NOW = datetime.datetime(2026, 11, 23, 14, 5, 9)


class Generation(jinja2.ext.Extension):
    """`{% generation %}`: prints its body."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller):
        return caller()


class Refused(Exception):
    pass


def raise_exception(message):
    raise Refused(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(template, case):
    try:
        text = template.render(
            messages=case["messages"],
            tools=case.get("tools"),
            documents=None,
            add_generation_prompt=case["add_generation_prompt"],
            bos_token=case["bos_token"],
            eos_token=case["eos_token"],
            **case.get("extra", {}),
        )
        return {"text": text}
    except Refused as error:
        return {"refused": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def main():
    cases = json.loads(pathlib.Path(sys.argv[1]).read_text())
    expected = {}
    for path in sorted(pathlib.Path(sys.argv[2]).glob("*.jinja")):
        template = environment().from_string(path.read_text())
        expected[path.stem] = {name: render(template, case) for name, case in cases.items()}
    text = json.dumps(expected, ensure_ascii=False, indent=1)
    pathlib.Path(sys.argv[3]).write_text(text + "\n")


main()
