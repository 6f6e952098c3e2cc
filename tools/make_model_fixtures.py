#!/usr/bin/env python3
"""Writes the checkpoints and logits that `reference-model` is tested against; run by hand, the tests need no torch.

    python tools/make_model_fixtures.py

Needs torch, transformers and safetensors. Each checkpoint is a random model of one architecture and one kind of rotary scaling
in reference-model/tests/fixtures/NAME, with `expected.safetensors`:

    tokens   (n)              int64
    stock    (n, vocabulary)  f32: transformers as it comes, in 32 bits
    exact    (n, vocabulary)  f64: the same modules with every 32-bit step of norm and rotary encoding lifted to 64 bits

`transformers` computes norms, rotary angles and their frequencies in 32 bits whatever the model's dtype, so that its own 64-bit
logits agree with the mathematics to some 1e-6 only; hence the lifting.
"""
import json
import shutil
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)
from transformers import modeling_rope_utils
from transformers.models.llama import modeling_llama
from transformers.models.qwen2 import modeling_qwen2
from transformers.models.qwen3 import modeling_qwen3

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT / "reference-model" / "tests" / "fixtures"
MODULES = [modeling_rope_utils, modeling_llama, modeling_qwen2, modeling_qwen3]
SIZES = dict(vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=64, initializer_range=0.4)
YARN = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=16)


class Lifted:
    """The module `torch` where 32 bits are 64."""

    float32 = torch.float64
    float = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def exact_rotary(self, x, position_ids):
    angles = position_ids[..., None].double() * self.inv_freq.double()
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos() * self.attention_scaling, angles.sin() * self.attention_scaling


def run(build, weights, tokens, exact):
    kept = [module.torch for module in MODULES]
    rotaries = [modeling_llama.LlamaRotaryEmbedding, modeling_qwen2.Qwen2RotaryEmbedding, modeling_qwen3.Qwen3RotaryEmbedding]
    forwards = [rotary.forward for rotary in rotaries]
    if exact:
        for module in MODULES:
            module.torch = Lifted()
        for rotary in rotaries:
            rotary.forward = exact_rotary
    try:
        model = build().eval()
        model.load_state_dict(weights)
        if exact:
            model = model.double()
        with torch.no_grad():
            return model(torch.tensor([tokens]), use_cache=False).logits[0].contiguous()
    finally:
        for module, torch_module in zip(MODULES, kept):
            module.torch = torch_module
        for rotary, forward in zip(rotaries, forwards):
            rotary.forward = forward


def expected(folder, build, weights, tokens):
    exact = run(build, weights, tokens, True)
    assert exact.dtype == torch.float64
    stock = run(build, weights, tokens, False)
    print(f"{folder.name}: logits up to {exact.abs().max():.2f}, 32 bits off by {(exact - stock).abs().max():.1e}")
    save_file({"tokens": torch.tensor(tokens), "stock": stock, "exact": exact}, folder / "expected.safetensors")
    (folder / "expected.safetensors").chmod(0o644)


def fixture(name, model_class, config, dtype=torch.float32, shards=1):
    folder = FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(len(name) * 1000 + ord(name[0]) + ord(name[-1]))
    build = lambda: model_class._from_config(config, attn_implementation="sdpa", dtype=torch.float32)
    model = build()
    with torch.no_grad():
        for parameter in model.parameters():  # norms start at 1 and biases at 0, which would hide an error
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
            parameter.copy_(parameter.to(dtype))
    weights = model.state_dict()
    model = model.to(dtype)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    model.save_pretrained(folder, max_shard_size=size // shards + 1000 if shards > 1 else "1GB")
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in folder.iterdir():
        file.chmod(0o644)
    tokens = torch.randint(0, config.vocab_size, (24,)).tolist()
    expected(folder, build, weights, tokens)


def main():
    ropes = {
        "default": dict(rope_type="default", rope_theta=10000.0),
        "linear": dict(rope_type="linear", rope_theta=10000.0, factor=4.0),
        "llama3": dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                       original_max_position_embeddings=32),
        "yarn": YARN,
    }
    kinds = {"llama": (LlamaForCausalLM, LlamaConfig), "qwen2": (Qwen2ForCausalLM, Qwen2Config),
             "qwen3": (Qwen3ForCausalLM, Qwen3Config)}
    for kind, (model_class, config_class) in kinds.items():
        for rope, parameters in ropes.items():
            tied = rope in ("linear", "yarn")
            config = config_class(**SIZES, rope_parameters=parameters, tie_word_embeddings=tied)
            fixture(f"{kind}-{rope}", model_class, config)
    window = dict(use_sliding_window=True, sliding_window=7, max_window_layers=1, rope_parameters=ropes["default"])
    fixture("qwen2-window", Qwen2ForCausalLM, Qwen2Config(**SIZES, **window))
    fixture("qwen3-window-bf16", Qwen3ForCausalLM, Qwen3Config(**SIZES, **window), torch.bfloat16)
    biased = LlamaConfig(**{**SIZES, "num_key_value_heads": 4}, rope_parameters=ropes["default"], attention_bias=True,
                         mlp_bias=True)
    fixture("llama-bias-f16-shards", LlamaForCausalLM, biased, torch.float16, shards=3)
    mscale = {**YARN, "mscale": 0.7, "mscale_all_dim": 0.4, "beta_fast": 8.0, "beta_slow": 2.0, "truncate": False}
    fixture("llama-yarn-mscale", LlamaForCausalLM, LlamaConfig(**SIZES, rope_parameters=mscale))

    folder = FIXTURES / "llama-tiny"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = ROOT / "models" / "llama-tiny"
    stock = LlamaForCausalLM.from_pretrained(checkpoint)
    build = lambda: LlamaForCausalLM._from_config(stock.config, attn_implementation="sdpa", dtype=torch.float32)
    text = "The code of garden is 4711. The code of garden is"
    expected(folder, build, stock.state_dict(), [0, *text.encode()])
    print("transformers", transformers.__version__, "torch", torch.__version__)


main()
