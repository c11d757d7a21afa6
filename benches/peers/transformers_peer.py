"""PyPI's Transformers on the CPU, with the weights of the same GGUF file, beside Ascua at the same and at fewer bits."""

import json
import subprocess
import sys

from programs import Test, output

REQUIREMENTS = ["torch", "transformers", "gguf", "accelerate", "sentencepiece", "protobuf"]
# Their arithmetic, and ours beside it.
PAIRS = [("F32", "F32"), ("BF16", "BF16"), ("F32", "Q4_K_M"), ("BF16", "Q4_K_M")]
MODEL = "SmolLM2-135M-Instruct.Q4_1"

# Runs in the virtual environment: measures once for each line of standard input, `TYPE prompt N` or `TYPE generate N`.
PROGRAM = """
import sys, time, torch
from transformers import AutoModelForCausalLM
folder, file, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(threads)
types = {"F32": torch.float32, "BF16": torch.bfloat16}
models = {}
for request in sys.stdin:
    type, what, count = request.split()
    if type not in models:
        models[type] = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=types[type]).eval()
    model, count = models[type], int(count)
    with torch.inference_mode():
        ids = torch.randint(10, 30000, (1, count if what == "prompt" else 8))
        if what == "prompt":
            model(ids[:, :16])
            begin = time.perf_counter()
            model(ids, use_cache=True, logits_to_keep=1)
        else:
            state = model(ids, use_cache=True)
            begin = time.perf_counter()
            for _ in range(count):
                token = state.logits[:, -1:].argmax(-1)
                state = model(token, past_key_values=state.past_key_values, use_cache=True)
        print(count / (time.perf_counter() - begin), flush=True)
"""


def compare(arguments, ours, environment, root):
    pip = environment / "bin" / "pip"
    subprocess.run([pip, "install", "-q", *REQUIREMENTS], check=True, stdout=sys.stderr)
    folder = root / "target" / "test-assets" / "models"
    files = {}
    for type in {pair[1] for pair in PAIRS}:
        files[type] = arguments.models / f"{MODEL.rsplit('.', 1)[0]}.{type}.gguf"
        if not files[type].exists():
            output([ours.program, "quantize", "--allow-requantize", folder / f"{MODEL}.gguf", files[type], type])
    theirs = Session([environment / "bin" / "python", "-c", PROGRAM, folder, f"{MODEL}.gguf", arguments.threads])
    rows = []
    for test in (Test(prompt=arguments.prompt), Test(generate=arguments.generate)):
        for their_type, our_type in PAIRS:
            row = {"model": MODEL, "test": str(test), "their type": their_type, "our type": our_type, "ours": [], "theirs": []}
            for _ in range(arguments.rounds):
                row["ours"].append(ours.speed(files[our_type], test, arguments.repeats))
                row["theirs"].append(theirs.speed(their_type, test))
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    theirs.end()
    return rows


class Session:
    """The other program stays: loading Transformers takes longer than the measurement."""

    def __init__(self, command):
        self.child = subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def speed(self, type, test):
        what = f"prompt {test.prompt}" if test.prompt else f"generate {test.generate}"
        self.child.stdin.write(f"{type} {what}\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        if not answer:
            raise SystemExit("error: Transformers ended early")
        return float(answer)

    def end(self):
        self.child.stdin.close()
        self.child.wait()
