#!/usr/bin/env python3
"""Captures queries, keys and values of a transformers model in the capture format of captures/README.md.

    python tools/capture_hf.py MODEL --text document.txt --out capture.safetensors [--layers 0,4-7] [--window last-32]
                               [--dtype bf16|f16|f32] [--device cuda]

MODEL is a folder or a name. Any decoder whose attention goes through the attention interface of transformers (4.56 or later) serves.
Needs torch, transformers and safetensors.
"""
import argparse
import json
import os
import sys
import tempfile


def layers(text):
    chosen = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        chosen.update(range(int(first), int(last or first) + 1))
    return chosen


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--text", required=True, metavar="FILE")
    parser.add_argument("--out", required=True, metavar="FILE")
    parser.add_argument("--layers", type=layers, help="such as 0,4-7; all without")
    parser.add_argument("--window", default="all", help="queries kept: all or last-32")
    parser.add_argument("--dtype", choices=["bf16", "f16", "f32"], help="what the model runs in and the file holds; the model's own without")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    return parser.parse_args()


def read_tokens(name, text):
    from transformers import AutoTokenizer, PreTrainedTokenizerFast
    file = os.path.join(name, "tokenizer.json")
    if os.path.isfile(file) and not os.path.isfile(os.path.join(name, "tokenizer_config.json")):
        return PreTrainedTokenizerFast(tokenizer_file=file)(text).input_ids
    return AutoTokenizer.from_pretrained(name)(text).input_ids


def only(values, what):
    """The one value of all captured layers: the format has one for the whole capture."""
    kinds = {json.dumps(value) for value in values}
    if len(kinds) > 1:
        sys.exit(f"capture_hf: the layers differ in {what}; choose layers of one kind by --layers")
    return json.loads(kinds.pop())


def rope_theta(config):
    """The base of a rotary encoding that pairs halves of all channels and is not scaled, else None."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    partial = rope.get("partial_rotary_factor", getattr(config, "partial_rotary_factor", None)) or 1.0
    theta = rope.get("rope_theta", getattr(config, "rope_theta", None))
    plain = kind == "default" and partial == 1.0 and config.model_type in ("llama", "qwen2", "qwen3", "mistral")
    return float(theta) if plain and theta is not None else None


def main():
    options = arguments()
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    dtypes = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with open(options.text, encoding="utf-8", newline="") as file:
        text = file.read()
    tensors, seen = {}, []
    attend = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def recording(module, query, key, value, *args, **kwargs):
        # What sdpa leaves out is recorded, and the run then goes through the model's own eager attention.
        layer = module.layer_idx
        if options.layers is None or layer in options.layers:
            sinks = kwargs.get("s_aux")
            seen.append({
                "scale": float(kwargs.get("scaling") or query.shape[-1] ** -0.5),
                "sliding_window": kwargs.get("sliding_window") or None,
                "softcap": kwargs.get("softcap") or None,
                "sinks": None if sinks is None else sinks.float().tolist(),
                "heads": [query.shape[1], key.shape[1], query.shape[3], value.shape[3]],
            })
            last = query.shape[2] if options.window == "all" else int(options.window.removeprefix("last-"))
            for part, tensor in (("query", query[:, :, -last:]), ("key", key), ("value", value)):
                tensors[f"layer.{layer}.{part}"] = tensor[0].detach().to("cpu", copy=True).contiguous()
            if hasattr(module, "o_proj"):
                tensors[f"layer.{layer}.o_proj"] = module.o_proj.weight.detach().to("cpu", copy=True).contiguous()
        if kwargs.get("softcap") or kwargs.get("s_aux") is not None:
            eager = sys.modules[type(module).__module__].eager_attention_forward
            return eager(module, query, key, value, *args, **kwargs)
        return attend(module, query, key, value, *args, **kwargs)

    ALL_ATTENTION_FUNCTIONS["recording"] = recording
    try:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        ALL_MASK_ATTENTION_FUNCTIONS["recording"] = ALL_MASK_ATTENTION_FUNCTIONS["eager"]
    except ImportError:
        pass
    tokens = read_tokens(options.model, text)
    model = AutoModelForCausalLM.from_pretrained(
        options.model, attn_implementation="recording", dtype=dtypes.get(options.dtype, "auto")).to(device).eval()
    with torch.no_grad():
        model(torch.tensor([tokens], device=device), use_cache=False)
    if not seen:
        sys.exit("capture_hf: no attention was recorded: no such layers, or the model does not use the attention interface")
    query_heads, kv_heads, head_dim, value_dim = only((layer["heads"] for layer in seen), "heads")
    metadata = {
        "version": 1, "model": os.path.basename(os.path.normpath(options.model)), "causal": True,
        "scale": only((layer["scale"] for layer in seen), "scale"),
        "num_layers": model.config.get_text_config().num_hidden_layers,
        "num_query_heads": query_heads, "num_kv_heads": kv_heads, "head_dim": head_dim, "value_dim": value_dim,
        "rope": "applied", "text": text,
    }
    theta = rope_theta(model.config)
    if theta is not None:
        metadata["rope_theta"] = theta
    for key in ("sliding_window", "softcap", "sinks"):
        value = only((layer[key] for layer in seen), key)
        if value is not None:
            metadata[key] = value
    tensors["tokens"] = torch.tensor(tokens, dtype=torch.int64)
    # Written beside and renamed: a failure leaves no half file.
    folder = os.path.dirname(os.path.abspath(options.out))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = os.path.join(scratch, "capture.safetensors")
        save_file(tensors, path, metadata={"obcache_capture": json.dumps(metadata)})
        os.replace(path, options.out)
    print(f"{options.out}: {metadata['model']}, {len(seen)} layers, {len(tokens)} tokens")


if __name__ == "__main__":
    main()
