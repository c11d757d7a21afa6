"""Makes the expected logits of the tiny checkpoints: `python make.py` beside this file, with PyPI torch, transformers and peft.

For each model NAME.json has `config` (its config.json), `tensors` (names and shapes; `*` runs over the layers, then the
experts) and NAME.logits what the model answers to `tokens`, F32, [tokens, vocabulary]. The weights are not stored: they
follow from the names by the rule in `values`, which the tests repeat. The families that transformers has only as remote
code (Qwen 1, Baichuan) are computed here from their published definitions. `torch.bin` is a file as `torch.save` writes it.
lora-NAME.json has an adapter: the model it is for, its adapter_config.json and tensors, a quarter of what the rule gives.
"""
import collections, json, math, pathlib, re, tempfile
import numpy as np, torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).parent
SEED, VOCABULARY, TOKENS = 20261126, 64, 16
U = np.uint64


def stream(seed, count):
    """splitmix64"""
    with np.errstate(over="ignore"):
        z = U(seed) + np.arange(1, count + 1, dtype=U) * U(0x9E3779B97F4A7C15)
        z = (z ^ (z >> U(30))) * U(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> U(27))) * U(0x94D049BB133111EB)
        return z ^ (z >> U(31))


def fnv(name):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def bits(name, shape):
    return stream(SEED ^ fnv(name), math.prod(shape))


def values(name, shape):
    """Multiples of 1/64 in [-1, 1) times a power of two: exact in every type of float."""
    u = ((bits(name, shape) >> U(57)).astype(np.float32) - np.float32(64)) / np.float32(64)
    if len(shape) == 1:
        one = 1 if "norm" in name or "ln_" in name else 0
        u = np.float32(one) + np.float32(0.125) * u
    elif "embed_tokens" not in name and "wte" not in name:
        u = u * np.float32(2.0 ** -math.floor(math.log2(shape[-1] / 3) / 2))
    return torch.from_numpy(u.reshape(shape))


def tokens():
    return [int(v) for v in (stream(SEED ^ 0x746F6B656E73, TOKENS) >> U(33)) % U(VOCABULARY)]


def fp8(name, shape):
    """A weight in E4M3 and its scales for blocks of 16 by 16: bytes of both signs up to 1.875."""
    raw = bits(name, shape)
    size = ((raw >> U(33)) % U(0x40)).astype(np.uint8) | ((raw >> U(63)).astype(np.uint8) << np.uint8(7))
    weight = torch.from_numpy(size.reshape(shape)).view(torch.float8_e4m3fn)
    blocks = [-(-size // 16) for size in shape]
    scale = (bits(name + "_scale_inv", blocks) >> U(57)).astype(np.float32) / np.float32(512)
    return weight, torch.from_numpy(scale.reshape(blocks)) + 1 / 512


def of_transformers(config, scaled=False):
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        plain = {k: v for k, v in config.items() if k != "quantization_config"}
        pathlib.Path(first, "config.json").write_text(json.dumps(plain))
        AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(first)).save_pretrained(second)
        shapes = {name: list(t.shape) for name, t in load_file(second + "/model.safetensors").items()}
        weights = {name: values(name, shape) for name, shape in shapes.items()}
        if scaled:
            for name, shape in shapes.items():
                if "proj" in name:
                    weight, scale = fp8(name, shape)
                    rows, columns = shape
                    grid = scale.repeat_interleave(16, 0).repeat_interleave(16, 1)[:rows, :columns]
                    weights[name] = weight.float() * grid
        save_file(weights, first + "/model.safetensors", metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(first, attn_implementation="eager", dtype=torch.float32).eval()
        with torch.no_grad():
            return shapes, model(torch.tensor([tokens()])).logits[0]


def rms(x, weight, epsilon):
    return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + epsilon) * weight


def rotated(x, base=10000.0):
    """Rotary positions of halves; x [heads, tokens, size]."""
    size = x.shape[-1]
    angle = torch.arange(x.shape[1])[:, None] * base ** (-torch.arange(0, size, 2) / size)[None]
    cos, sin = torch.cat([angle.cos()] * 2, -1), torch.cat([angle.sin()] * 2, -1)
    return x * cos + torch.cat([-x[..., size // 2:], x[..., : size // 2]], -1) * sin


def slopes(heads):
    """ALiBi (Press et al. 2022), powers of two only."""
    return torch.tensor([2.0 ** (-8.0 * (head + 1) / heads) for head in range(heads)])


def attention(q, k, v, heads, rotary, alibi):
    split = lambda x: x.view(x.shape[0], heads, -1).transpose(0, 1)
    q, k, v = split(q), split(k), split(v)
    if rotary:
        q, k = rotated(q), rotated(k)
    scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
    position = torch.arange(q.shape[1])
    if alibi:
        scores = scores + slopes(heads)[:, None, None] * (position[None, :] - position[:, None])[None]
    scores = scores.masked_fill(position[None, :] > position[:, None], float("-inf"))
    return (scores.softmax(-1) @ v).transpose(0, 1).reshape(q.shape[1], -1)


def of_qwen(c):
    width, half = c["hidden_size"], c["intermediate_size"] // 2
    shapes = {"transformer.wte.weight": [VOCABULARY, width], "transformer.ln_f.weight": [width],
              "lm_head.weight": [VOCABULARY, width]}
    for layer in range(c["num_hidden_layers"]):
        at = f"transformer.h.{layer}."
        shapes |= {at + "ln_1.weight": [width], at + "ln_2.weight": [width],
                   at + "attn.c_attn.weight": [3 * width, width], at + "attn.c_attn.bias": [3 * width],
                   at + "attn.c_proj.weight": [width, width], at + "mlp.w1.weight": [half, width],
                   at + "mlp.w2.weight": [half, width], at + "mlp.c_proj.weight": [width, half]}
    w = {name: values(name, shape) for name, shape in shapes.items()}
    x, epsilon = w["transformer.wte.weight"][tokens()], c["layer_norm_epsilon"]
    for layer in range(c["num_hidden_layers"]):
        at = f"transformer.h.{layer}."
        y = rms(x, w[at + "ln_1.weight"], epsilon)
        q, k, v = (y @ w[at + "attn.c_attn.weight"].T + w[at + "attn.c_attn.bias"]).split(width, -1)
        x = x + attention(q, k, v, c["num_attention_heads"], True, False) @ w[at + "attn.c_proj.weight"].T
        y = rms(x, w[at + "ln_2.weight"], epsilon)
        y = (y @ w[at + "mlp.w1.weight"].T) * F.silu(y @ w[at + "mlp.w2.weight"].T)
        x = x + y @ w[at + "mlp.c_proj.weight"].T
    return shapes, rms(x, w["transformer.ln_f.weight"], epsilon) @ w["lm_head.weight"].T


def of_baichuan(c):
    width, wide = c["hidden_size"], c["intermediate_size"]
    shapes = {"model.embed_tokens.weight": [VOCABULARY, width], "model.norm.weight": [width],
              "lm_head.weight": [VOCABULARY, width]}
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        shapes |= {at + "input_layernorm.weight": [width], at + "post_attention_layernorm.weight": [width],
                   at + "self_attn.W_pack.weight": [3 * width, width], at + "self_attn.o_proj.weight": [width, width],
                   at + "mlp.gate_proj.weight": [wide, width], at + "mlp.up_proj.weight": [wide, width],
                   at + "mlp.down_proj.weight": [width, wide]}
    w = {name: values(name, shape) for name, shape in shapes.items()}
    x, epsilon, rotary = w["model.embed_tokens.weight"][tokens()], c["rms_norm_eps"], c["num_hidden_layers"] == 32
    for layer in range(c["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        y = rms(x, w[at + "input_layernorm.weight"], epsilon)
        q, k, v = (y @ w[at + "self_attn.W_pack.weight"].T).split(width, -1)
        x = x + attention(q, k, v, c["num_attention_heads"], rotary, not rotary) @ w[at + "self_attn.o_proj.weight"].T
        y = rms(x, w[at + "post_attention_layernorm.weight"], epsilon)
        y = F.silu(y @ w[at + "mlp.gate_proj.weight"].T) * (y @ w[at + "mlp.up_proj.weight"].T)
        x = x + y @ w[at + "mlp.down_proj.weight"].T
    head = w["lm_head.weight"]
    if "z_loss_weight" in c:  # Baichuan 2's NormHead
        head = F.normalize(head)
    return shapes, rms(x, w["model.norm.weight"], epsilon) @ head.T


COMMON = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
          "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
          "hidden_act": "silu", "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def model(kind, name, **more):
    return COMMON | {"architectures": [name], "model_type": kind, "tie_word_embeddings": False} | more


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "decoder_sparse_step": 1,
           "mlp_only_layers": []}
GEMMA = dict(num_hidden_layers=7, head_dim=16, query_pre_attn_scalar=16, sliding_window=8, hidden_activation="gelu_pytorch_tanh",
             rms_norm_eps=1e-6, tie_word_embeddings=True)
MODELS = {
    "llama": model("llama", "LlamaForCausalLM", rope_theta=10000.0, attention_bias=True, mlp_bias=True),
    "llama3": model("llama", "LlamaForCausalLM", rope_theta=500000.0, head_dim=16, tie_word_embeddings=True,
                    rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                  "original_max_position_embeddings": 32}),
    "llama-linear": model("llama", "LlamaForCausalLM", rope_scaling={"type": "linear", "factor": 4.0}),
    "mistral": model("mistral", "MistralForCausalLM", rope_theta=1000000.0, sliding_window=None),
    "mixtral": model("mixtral", "MixtralForCausalLM", num_local_experts=4, num_experts_per_tok=2, sliding_window=None,
                     rope_theta=1000000.0),
    "qwen2": model("qwen2", "Qwen2ForCausalLM", rope_theta=1000000.0, use_sliding_window=False, tie_word_embeddings=True),
    "qwen2-yarn": model("qwen2", "Qwen2ForCausalLM", rope_parameters={
        "rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}),
    "qwen2moe": model("qwen2_moe", "Qwen2MoeForCausalLM", shared_expert_intermediate_size=40, norm_topk_prob=False,
                      rope_theta=1000000.0, **EXPERTS),
    "qwen3": model("qwen3", "Qwen3ForCausalLM", head_dim=16, rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
    "qwen3-fp8": model("qwen3", "Qwen3ForCausalLM", head_dim=16, rope_theta=1e6, quantization_config={
        "quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 16]}),
    "qwen3moe": model("qwen3_moe", "Qwen3MoeForCausalLM", head_dim=16, norm_topk_prob=True, rope_theta=1e6, **EXPERTS),
    "gemma3": model("gemma3_text", "Gemma3ForCausalLM", rope_theta=1e6, rope_local_base_freq=1e4,
                    rope_scaling={"rope_type": "linear", "factor": 8.0}, **GEMMA),
    "gemma3-new": model("gemma3_text", "Gemma3ForCausalLM", rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}},
        layer_types=["sliding_attention"] * 5 + ["full_attention", "sliding_attention"], **GEMMA),
    "phi3": model("phi3", "Phi3ForCausalLM", rope_theta=10000.0, original_max_position_embeddings=128, sliding_window=None),
    "phi3-longrope": model("phi3", "Phi3ForCausalLM", original_max_position_embeddings=64, partial_rotary_factor=0.5,
                           rope_theta=10000.0, sliding_window=None, rope_scaling={
                               "type": "longrope", "short_factor": [1.0, 1.25], "long_factor": [2.0, 4.5]}),
    "qwen": {"architectures": ["QWenLMHeadModel"], "model_type": "qwen", "hidden_size": 32, "intermediate_size": 96,
             "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": VOCABULARY, "layer_norm_epsilon": 1e-6,
             "max_position_embeddings": 128, "rotary_emb_base": 10000, "kv_channels": 8, "no_bias": True,
             "tie_word_embeddings": False},
    "baichuan-7b": {"architectures": ["BaiChuanForCausalLM"], "model_type": "baichuan", "hidden_size": 16, "hidden_act": "silu",
                    "intermediate_size": 24, "num_hidden_layers": 32, "num_attention_heads": 2, "vocab_size": VOCABULARY,
                    "rms_norm_eps": 1e-6, "max_position_embeddings": 128, "tie_word_embeddings": False},
    "baichuan2-13b": {"architectures": ["BaichuanForCausalLM"], "model_type": "baichuan", "hidden_size": 16, "hidden_act": "silu",
                      "intermediate_size": 24, "num_hidden_layers": 40, "num_attention_heads": 2, "vocab_size": VOCABULARY,
                      "rms_norm_eps": 1e-6, "model_max_length": 128, "z_loss_weight": 0, "tie_word_embeddings": False},
}


def written(name, config):
    if config["model_type"] in ("qwen", "baichuan"):
        shapes, logits = {"qwen": of_qwen, "baichuan": of_baichuan}[config["model_type"]](config)
    else:
        shapes, logits = of_transformers(config, "quantization_config" in config)
    folded = {re.sub(r"(?<=\.)\d+(?=\.)", "*", tensor): shape for tensor, shape in shapes.items()}
    text = json.dumps({"config": config, "tensors": folded}, indent=1)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (HERE / f"{name}.json").write_text(text + "\n")
    logits.float().contiguous().numpy().astype("<f4").tofile(HERE / f"{name}.logits")
    print(f"{name}: {len(shapes)} tensors, logits from {logits.min():.2f} to {logits.max():.2f}")


def of_peft(base, lora):
    """A model of MODELS with an adapter beside it, as PEFT runs it; the adapter's numbers follow from its tensors' names."""
    from peft import LoraConfig, PeftModel, get_peft_model
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForCausalLM
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        pathlib.Path(first, "config.json").write_text(json.dumps(MODELS[base]))
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(first)).eval()
        model.save_pretrained(first)
        shapes = {name: list(t.shape) for name, t in load_file(first + "/model.safetensors").items()}
        save_file({name: values(name, shape) for name, shape in shapes.items()}, first + "/model.safetensors",
                  metadata={"format": "pt"})
        load = lambda: AutoModelForCausalLM.from_pretrained(first, attn_implementation="eager", dtype=torch.float32).eval()
        get_peft_model(load(), LoraConfig(**lora)).save_pretrained(second, save_embedding_layers=False)
        shapes = {name: list(t.shape) for name, t in load_file(second + "/adapter_model.safetensors").items()}
        save_file({name: values(name, shape) / 4 for name, shape in shapes.items()}, second + "/adapter_model.safetensors",
                  metadata={"format": "pt"})
        settings = json.loads(pathlib.Path(second, "adapter_config.json").read_text())
        settings["base_model_name_or_path"] = None
        settings["target_modules"] = sorted(settings["target_modules"])
        with torch.no_grad():
            return settings, shapes, PeftModel.from_pretrained(load(), second)(torch.tensor([tokens()])).logits[0]


LAYER = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = {
    "lora-llama": ("llama", dict(r=4, lora_alpha=6, target_modules=LAYER + ["embed_tokens", "lm_head"])),
    "lora-llama-patterns": ("llama", dict(
        r=4, lora_alpha=6, use_rslora=True, target_modules=LAYER, rank_pattern={"q_proj": 3, r"layers\.1\.mlp\..*": 2},
        alpha_pattern={"k_proj": 5, r"model\.layers\.0\..*": 9, "down_proj": 3, "up_proj": 0})),
    "lora-qwen2": ("qwen2", dict(r=4, lora_alpha=6, target_modules="all-linear")),
    "lora-qwen3": ("qwen3", dict(r=3, lora_alpha=6, target_modules=LAYER + ["lm_head"])),
    "lora-gemma3": ("gemma3-new", dict(r=4, lora_alpha=6, target_modules=LAYER + ["embed_tokens"])),
    "lora-phi3": ("phi3", dict(r=4, lora_alpha=6, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"])),
}


def written_adapter(name, base, lora):
    settings, shapes, logits = of_peft(base, lora)
    text = json.dumps({"base": base, "settings": settings, "tensors": shapes}, indent=1)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
    (HERE / f"{name}.json").write_text(text + "\n")
    logits.float().contiguous().numpy().astype("<f4").tofile(HERE / f"{name}.logits")
    print(f"{name}: {len(shapes)} tensors, logits from {logits.min():.2f} to {logits.max():.2f}")


def torch_file():
    """Parameters, one storage seen twice, a transposed tensor, other types, and remarks on versions."""
    at = lambda name, *shape: values(name, shape)
    state = collections.OrderedDict()
    state["f32"] = torch.nn.Parameter(at("f32", 3, 5))
    state["f16"] = at("f16", 4, 6).half()
    state["bf16"] = at("bf16", 2, 3, 4).bfloat16()
    state["f64"] = at("f64", 7).double()
    state["transposed"] = at("transposed", 6, 4).t()
    state["rows"] = at("rows", 8, 3)[2:7:2]
    state["shared"] = state["f32"]
    state["scalar"] = torch.tensor(0.5)
    state["ids"] = torch.arange(4)
    state["fp8"] = torch.tensor([[1.0, -1.5, 448.0]]).to(torch.float8_e4m3fn)
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    torch.save(state, HERE / "torch.bin")


if __name__ == "__main__":
    for name, config in MODELS.items():
        written(name, config)
    for name, (base, lora) in ADAPTERS.items():
        written_adapter(name, base, lora)
    torch_file()
