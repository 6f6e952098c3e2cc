#!/usr/bin/env python3
"""Writes a checkpoint of random bf16 weights with the shape of a 1B-parameter LLaMA (that of Llama-3.2-1B): 2.5 GB.

    python tools/make_random_checkpoint.py FOLDER [--layers 16]

Needs NumPy. It says nothing sensible; it shows that a model of that size loads and runs:
    cargo run --release -p reference-model --example speed -- FOLDER 512
"""
import argparse
import json
import shutil
import struct
from pathlib import Path

import numpy

HIDDEN, INNER, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY = 2048, 8192, 32, 8, 64, 128256


def shapes(layers):
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(layers):
        name = f"model.layers.{layer}."
        yield name + "input_layernorm.weight", (HIDDEN,)
        yield name + "post_attention_layernorm.weight", (HIDDEN,)
        yield name + "self_attn.q_proj.weight", (HEADS * HEAD_DIM, HIDDEN)
        yield name + "self_attn.k_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
        yield name + "self_attn.v_proj.weight", (KV_HEADS * HEAD_DIM, HIDDEN)
        yield name + "self_attn.o_proj.weight", (HIDDEN, HEADS * HEAD_DIM)
        yield name + "mlp.gate_proj.weight", (INNER, HIDDEN)
        yield name + "mlp.up_proj.weight", (INNER, HIDDEN)
        yield name + "mlp.down_proj.weight", (HIDDEN, INNER)
    yield "model.norm.weight", (HIDDEN,)


def bf16(numbers):
    return (numbers.astype(numpy.float32).view(numpy.uint32) >> 16).astype("<u2").tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=16)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    config = dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER,
        num_hidden_layers=options.layers, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM,
        max_position_embeddings=131072, rms_norm_eps=1e-5, hidden_act="silu", tie_word_embeddings=True, rope_theta=500000.0,
        rope_scaling=dict(rope_type="llama3", factor=32.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=8192))
    (options.folder / "config.json").write_text(json.dumps(config, indent=2))
    tiny = Path(__file__).resolve().parent.parent / "models" / "llama-tiny" / "tokenizer.json"
    shutil.copyfile(tiny, options.folder / "tokenizer.json")
    header, end = {}, 0
    for name, shape in shapes(options.layers):
        size = 2 * int(numpy.prod(shape))
        header[name] = dict(dtype="BF16", shape=shape, data_offsets=[end, end + size])
        end += size
    text = json.dumps(header).encode()
    generator = numpy.random.default_rng(1)
    with open(options.folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in shapes(options.layers):
            if len(shape) == 1:
                file.write(bf16(numpy.ones(shape)))
            else:
                for _ in range(shape[0] // 64):
                    file.write(bf16(0.02 * generator.standard_normal((64, shape[1]), dtype=numpy.float32)))
    print(f"{options.folder}: {end / 2e9:.2f} billion weights")


if __name__ == "__main__":
    main()
