"""Makes tests/data/vocabularies/: small tokenizers as checkpoints hold them, and the token ids that they give.

    python -m venv venv && venv/bin/pip install tokenizers sentencepiece tiktoken transformers protobuf
    venv/bin/python crates/convert/tests/generate_vocabularies.py [CONVERT_HF_TO_GGUF]

Each folder holds the files of one checkpoint, `architecture` (the one of the model file) and `ids`: for each text of
PROBES, one a line, the ids of the checkpoint's own tokenizer (transformers, tokenizers, sentencepiece or tiktoken), with
special tokens added. With the path of llama.cpp's convert_hf_to_gguf.py, `keys.json` is written too: the keys that it
gives to the same folder. Everything is trained on TEXT, which was written for this.
"""

import base64
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer

DATA = Path(__file__).parent / "data" / "vocabularies"
CONVERTER = sys.argv[1] if len(sys.argv) > 1 else None

TEXT = """The harbour wakes before the town does. Gulls quarrel over the nets, and the first boats come home slowly.
She counted the boxes twice, wrote 1,284 in the ledger, and then counted them again; it was 1,285, of course.
Nobody had told him that the lighthouse keeper's daughter couldn't swim, and that he'd better not ask.
We're late, they'll say, I've heard it all: it's raining, the train didn't come, you're early.
def harbour(boats, nets=3):
    total = 0
    for boat in boats:
        total += boat.weight * nets  # in kilograms
    return {"total": total, "mean": total / len(boats)}
fn main() { let boats = vec![1, 22, 333, 4444]; println!("{:?}", boats); }
港口比小镇醒得早。海鸥在渔网上争吵，第一批船慢慢回家。
她把箱子数了两遍，在账本上写下一千二百八十四，然后又数了一遍。
今天的天气很好，我们去海边看日出，然后一起吃早饭。
Déjà vu à la plage: où est passé l'été? Über den Dächern hängt Nebel. Мы идём домой.
🚢 🌊 🐟🐟🐟 👩‍🚀 go! 🎉
""" * 4

PROBES = [
    "The harbour wakes.",
    " two  spaces   three",
    "I'll say we're late; they'D said it's 12345 o'clock",
    "她在海边看船。今天",
    "def f(x):\n    return x\n\n\n  # end\t\ttab",
    "🚢👩‍🚀 déjà vu Ü ﬁ Å ½",
    "x",
    "unknown: \u4e9c \u0e01 \U0001f9ff",
    "1284 boxes\r\n\r\nand more",
    "MiXeD CaSe WORDS don't CAN'T",
    "trailing space ",
    "<|end|>inside<s> text</s>",
]

# Code points and what they become: a ligature, a unit, full-width digits.
RULES = "FB01\t66 69\n212B\tC5\nBD\t31 2F 32\nFF11\t31\n"

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def lines():
    return TEXT.split("\n")


def config(folder, model_type, architecture, vocabulary, **more):
    fields = {"architectures": [architecture], "model_type": model_type, "vocab_size": vocabulary,
              "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
              "num_key_value_heads": 2, "head_dim": 16, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
              "rope_theta": 10000.0} | more
    (folder / "config.json").write_text(json.dumps(fields) + "\n")


def write(folder, name, value):
    (folder / name).write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def fresh(name, gguf):
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "architecture").write_text(gguf + "\n")
    return folder


def finish(folder, encode):
    ids = [" ".join(map(str, encode(text))) for text in PROBES]
    (folder / "ids").write_text("\n".join(ids) + "\n")


def fast(folder):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    finish(folder, lambda text: tokenizer.encode(text).ids)


def byte_level(steps, size, specials, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = steps
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=specials, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines(), trainer)
    return tokenizer


def llama3():
    """A regex and merges that are skipped for whole tokens; beginning of text by the post-processor."""
    folder = fresh("llama3", "llama")
    steps = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(steps, 500, ["<|begin|>", "<|end|>"], ignore_merges=True)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin|> $A", pair="<|begin|> $A <|begin|> $B", special_tokens=[("<|begin|>", tokenizer.token_to_id("<|begin|>"))])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<|begin|>", "eos_token": "<|end|>",
        "chat_template": [{"name": "default", "template": "{{ messages[0].content }}"},
                          {"name": "tool-use", "template": "{{ tools }}"}]})
    write(folder, "generation_config.json", {"temperature": 0.6, "top_p": 0.9, "top_k": 40, "repetition_penalty": 1.1,
                                             "eos_token_id": [1], "do_sample": True, "min_p": None})
    config(folder, "llama", "LlamaForCausalLM", 512, eos_token_id=[1, 7], bos_token_id=0)
    fast(folder)


def qwen2():
    """Rows beyond the tokens, added tokens behind the base vocabulary, one of them ordinary, template in a file."""
    folder = fresh("qwen2", "qwen2")
    steps = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(steps, 480, [])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.add_special_tokens(["<|end|>", "<s>"])
    tokenizer.add_tokens(["</s>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|end|>", "pad_token": "<|end|>",
        "add_prefix_space": False, "unk_token": None})
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    config(folder, "qwen2", "Qwen2ForCausalLM", 520)
    fast(folder)


def gpt2():
    """vocab.json and merges.txt without tokenizer.json."""
    folder = fresh("gpt2", "gpt2")
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), 450, ["<|end|>"])
    tokenizer.model.save(str(folder))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "GPT2Tokenizer", "bos_token": "<|end|>", "eos_token": "<|end|>", "unk_token": "<|end|>"})
    config(folder, "gpt2", "GPT2LMHeadModel", 450, bos_token_id=0, eos_token_id=0, n_embd=32, n_head=2, n_layer=1, n_ctx=64,
           layer_norm_epsilon=1e-5)
    finish(folder, AutoTokenizer.from_pretrained(folder).encode)


def sentence_piece(name, kind, size, **options):
    prefix = str(DATA / name / "tokenizer")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as corpus, tempfile.NamedTemporaryFile("w") as rules:
        corpus.write(TEXT)
        corpus.flush()
        rules.write(RULES)
        rules.flush()
        if options.get("normalization_rule_name") == "rules":
            options["normalization_rule_tsv"] = rules.name
            del options["normalization_rule_name"]
        sentencepiece.SentencePieceTrainer.train(
            input=corpus.name, model_prefix=prefix, model_type=kind, vocab_size=size, character_coverage=0.99,
            minloglevel=2, hard_vocab_limit=False, num_threads=1, **options)
    (DATA / name / "tokenizer.vocab").unlink()
    return sentencepiece.SentencePieceProcessor(model_file=prefix + ".model")


def llama2():
    """SentencePiece's BPE with byte fallback, added tokens in tokenizer_config.json."""
    folder = fresh("llama2", "llama")
    processor = sentence_piece("llama2", "bpe", 600, byte_fallback=True, normalization_rule_name="identity",
                               remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True)
    size = processor.vocab_size()
    special = lambda text: {"content": text, "special": True, "lstrip": False, "rstrip": False, "normalized": False,
                            "single_word": False}
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": {"content": "</s>"}, "unk_token": "<unk>",
        "add_bos_token": True, "add_eos_token": False, "legacy": True,
        "added_tokens_decoder": {"0": special("<unk>"), "1": special("<s>"), "2": special("</s>"),
                                 str(size): special("<|end|>")}})
    config(folder, "llama", "LlamaForCausalLM", size + 4, bos_token_id=1, eos_token_id=2)

    def encode(text):
        # SentencePiece does not know the added tokens; without them its ids are those of the checkpoint.
        for token in ["<|end|>", "<s>", "</s>"]:
            assert token not in text
        return [1] + processor.encode(text)

    ids = [" ".join(map(str, encode(text))) if "<|end|>" not in text else "" for text in PROBES]
    (folder / "ids").write_text("\n".join(ids) + "\n")
    return processor


def llama2_fast(processor):
    """The same as tokenizer.json: BPE with byte fallback; scores must follow from the merges."""
    folder = fresh("llama2-fast", "llama")
    tokens = {processor.id_to_piece(id): id for id in range(processor.vocab_size())}
    scores = {processor.id_to_piece(id): processor.get_score(id) for id in range(processor.vocab_size())}
    merges = []
    for token, id in tokens.items():
        if processor.is_byte(id) or processor.is_control(id) or processor.is_unknown(id):
            continue
        pairs = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs = [pair for pair in pairs if pair[0] in tokens and pair[1] in tokens]
        merges += [(scores[token], sorted([tokens[left], tokens[right]]), left, right) for left, right in pairs]
    merges.sort(key=lambda merge: (-merge[0], merge[1]))
    model = models.BPE(vocab=tokens, merges=[(left, right) for _, _, left, right in merges], unk_token="<unk>",
                       byte_fallback=True, fuse_unk=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})
    config(folder, "llama", "LlamaForCausalLM", len(tokens), bos_token_id=1, eos_token_id=2)
    finish(folder, lambda text: tokenizer.encode(text.replace("<s>", "").replace("</s>", "")).ids)


def gemma():
    """BPE on characters without cutting, no space before the text."""
    folder = fresh("gemma3", "gemma3")
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=800, special_tokens=specials, show_progress=False, max_token_length=12)
    tokenizer.train_from_iterator(lines(), trainer)
    saved = json.loads(tokenizer.to_str())
    saved["added_tokens"] = [token for token in saved["added_tokens"] if token["id"] < 4]
    tokenizer = Tokenizer.from_str(json.dumps(saved))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>",
        "pad_token": "<pad>", "add_bos_token": True, "add_eos_token": False})
    config(folder, "gemma3_text", "Gemma3ForCausalLM", tokenizer.get_vocab_size() + 3, sliding_window=32,
           bos_token_id=2, eos_token_id=[1], pad_token_id=0)
    fast(folder)


def t5():
    """SentencePiece's unigram model with a character map."""
    folder = fresh("t5", "t5")
    processor = sentence_piece("t5", "unigram", 320, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
                               normalization_rule_name="rules")
    write(folder, "tokenizer_config.json", {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>"})
    config(folder, "t5", "T5ForConditionalGeneration", processor.vocab_size() + 8, eos_token_id=1, pad_token_id=0, d_model=32,
           d_ff=64, num_layers=1, num_heads=2, d_kv=16, layer_norm_epsilon=1e-6, relative_attention_num_buckets=8,
           decoder_start_token_id=0)
    finish(folder, lambda text: processor.encode(text.replace("<s>", "").replace("</s>", "")) + [1])


def unigram_json():
    """The same kind as tokenizer.json."""
    folder = fresh("unigram", "t5")
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=260, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                      show_progress=False)
    tokenizer.train_from_iterator(lines(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"})
    config(folder, "t5", "T5ForConditionalGeneration", tokenizer.get_vocab_size(), eos_token_id=1)
    fast(folder)


def bert(name, files):
    """WordPiece, as tokenizer.json or as vocab.txt."""
    folder = fresh(name, "bert")
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(lines(), trainers.WordPieceTrainer(
        vocab_size=500, special_tokens=specials, show_progress=False))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    if files == "json":
        tokenizer.save(str(folder / "tokenizer.json"))
    else:
        ordered = sorted(tokenizer.get_vocab().items(), key=lambda token: token[1])
        (folder / "vocab.txt").write_text("".join(text + "\n" for text, _ in ordered))
    write(folder, "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "cls_token": "[CLS]", "sep_token": "[SEP]",
        "pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"})
    ids = {} if files == "json" else {"bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3, "pad_token_id": 0}
    config(folder, "bert", "BertModel", tokenizer.get_vocab_size(), unk_token_id=1, mask_token_id=4, **ids)
    finish(folder, lambda text: tokenizer.encode(text).ids)


def ranks(pattern, size):
    """Ranks of a byte-level BPE, in the order of its merges."""
    steps = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = byte_level(steps, size, [])
    letters = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {chr(byte): byte for byte in letters}
    others = [byte for byte in range(256) if byte not in letters]
    table |= {chr(256 + index): byte for index, byte in enumerate(others)}
    ordered = sorted(tokenizer.get_vocab().items(), key=lambda token: token[1])
    return {bytes(table[letter] for letter in text): id for text, id in ordered}


def tiktoken_file(path, table):
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in table.items()))


def qwen1():
    """Ranks of Qwen 1, whose special tokens stand in its code."""
    folder = fresh("qwen1", "qwen")
    table = ranks(QWEN2, 420)
    tiktoken_file(folder / "qwen.tiktoken", table)
    write(folder, "tokenizer_config.json", {"tokenizer_class": "QWenTokenizer"})
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{number}|>" for number in range(205)]
    special = {name: len(table) + index for index, name in enumerate(names)}
    encoding = tiktoken.Encoding("qwen", pat_str=QWEN2, mergeable_ranks=table, special_tokens=special)
    config(folder, "qwen", "QWenLMHeadModel", len(table) + 300)
    finish(folder, lambda text: encoding.encode(text, allowed_special="all"))


def llama3_ranks():
    """Ranks of Meta's Llama 3."""
    folder = fresh("llama3-ranks", "llama")
    table = ranks(LLAMA3, 420)
    tiktoken_file(folder / "tokenizer.model", table)
    config(folder, "llama", "LlamaForCausalLM", len(table) + 256)
    encoding = tiktoken.Encoding("llama3", pat_str=LLAMA3, mergeable_ranks=table, special_tokens={})
    finish(folder, lambda text: encoding.encode(text, disallowed_special=()))


def keys(folder):
    """The tokenizer's keys as llama.cpp's converter writes them."""
    sys.path.insert(0, str(Path(CONVERTER).parent / "gguf-py"))
    from gguf import GGUFReader

    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "vocabulary.gguf"
        # llama.cpp knows pre-tokenizers by the vocabulary, and so none of these: whatever it finds is taken.
        program = "\n".join([
            "import runpy, sys", "sys.path.insert(0, %r)" % str(Path(CONVERTER).parent),
            "from conversion.base import TextModel", "TextModel.get_vocab_base_pre = lambda self, tokenizer: 'unknown'",
            "sys.argv = %r" % [CONVERTER, str(folder), "--vocab-only", "--outfile", str(file)],
            "runpy.run_path(%r, run_name='__main__')" % CONVERTER])
        run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        if not file.exists():
            print(folder.name, "is not converted:", run.stderr.strip().split("\n")[-1])
            return
        fields = {key: field.contents() for key, field in GGUFReader(file).fields.items()
                  if key.startswith(("tokenizer.", "general.sampling."))}
    # Long lists would only repeat what `ids` shows; types and scores have few different values.
    fields = {key: value for key, value in fields.items()
              if key not in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.precompiled_charsmap",
                             "tokenizer.ggml.pre", "tokenizer.ggml.token_type_count") and not (key.endswith("scores") and folder.name == "llama2-fast")}
    (folder / "keys.json").write_text("{\n" + ",\n".join(json.dumps(key) + ": " + json.dumps(value, ensure_ascii=False) for key, value in fields.items()) + "\n}\n")


llama3()
qwen2()
gpt2()
llama2_fast(llama2())
gemma()
t5()
unigram_json()
bert("bert", "json")
bert("bert-text", "text")
qwen1()
llama3_ranks()
(DATA / "probes.json").write_text(json.dumps(PROBES, ensure_ascii=False, indent=1) + "\n")
if CONVERTER:
    for folder in sorted(DATA.iterdir()):
        if folder.is_dir():
            keys(folder)
