"""Makes arguments-t53-d8.safetensors: kvpress's scores with other arguments than the defaults.

Needs torch, transformers, safetensors and kvpress 0.5.5. kvpress is a library here; none of its code is in this repository.
"""

import json
from pathlib import Path

import kvpress as kp
import torch
from safetensors.torch import save_file
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

TOKENS, QUERY_HEADS, KV_HEADS, HEAD_DIM, THETA = 53, 6, 2, 8, 10000.0
SCORES = {
    "Observed": "kp.ObservedAttentionPress(0.3)",
    "SnapKV": "kp.SnapKVPress(0.5,window_size=8,kernel_size=7),",
    "TOVA": "kp.TOVAPress(compression_ratio=0.25)",
    "Knorm": "kp.KnormPress()",
    "KeyDiff": "kp.KeyDiffPress(0.5),",
    "StreamingLLM": "kp.StreamingLLMPress(0.7, n_sink=2),",
    "LagKV": "kp.LagKVPress(0.5,n_sink=3,lag_size=10),",
    "LagKV_cross": "kp.LagKVPress(0.5,n_sink=0,lag_size=12,cross_scoring=True)",
    "LagKV_short": "kp.LagKVPress(0.5,4,128)",
    "CUR_key": "kp.CURPress(0.5,num_sinks=2,leverage_type='key'),",
    "CUR_value": 'kp.CURPress(0.5,num_sinks=0,leverage_type="value",local_window_size=7)',
    "CUR_average": "kp.CURPress(0.5,leverage_type='kv_avg',use_local_approximation=False)",
    "CUR_product": "kp.CURPress(0.5,use_local_approximation=False)",
    "Expected": "kp.ExpectedAttentionPress(0.5),",
    "Expected_epsilon": "kp.ExpectedAttentionPress(0.5,n_future_positions=64,n_sink=0,epsilon=1e-2)",
    "Expected_no_norm": "kp.ExpectedAttentionPress(0.5,16,5,True,False)",
    "Critical_SnapKV": "kp.CriticalKVPress(kp.SnapKVPress(0.6,window_size=8,kernel_size=3),epsilon=1e-3,first_stage_ratio=0.25),",
    "Critical_expected": "kp.CriticalKVPress(kp.ExpectedAttentionPress(0.8,n_future_positions=10,use_vnorm=False), 1e-4, 0.5)",
    "Critical_one_stage": "kp.CriticalKVPress(press=kp.KnormPress(0.5),first_stage_ratio=0.0)",
    "Critical_ties": "kp.CriticalKVPress(kp.StreamingLLMPress(0.5))",
    "Critical_window_ties": "kp.CriticalKVPress(kp.SnapKVPress(0.9,window_size=20,kernel_size=3))",
    "NonCausal": "kp.NonCausalAttnPress(0.5,chunk_size=16)",
    "NonCausal_one_chunk": "kp.NonCausalAttnPress(0.5)",
    "Pyramid": "kp.PyramidKVPress(0.5,window_size=8,kernel_size=5,beta=10)",
}

torch.manual_seed(1)
config = LlamaConfig(vocab_size=300, hidden_size=QUERY_HEADS * HEAD_DIM, intermediate_size=32, num_hidden_layers=1,
                     num_attention_heads=QUERY_HEADS, num_key_value_heads=KV_HEADS, head_dim=HEAD_DIM, rope_theta=THETA,
                     initializer_range=0.1, attn_implementation="eager")
model = LlamaForCausalLM(config).double().eval()
attention = model.model.layers[0].self_attn
attention.rotary_emb = model.model.rotary_emb
tensors = {"q_proj": attention.q_proj.weight.data, "o_proj": attention.o_proj.weight.data}


def record(module, _, kwargs, output):
    hidden, cache = kwargs["hidden_states"], kwargs["past_key_values"].layers[0]
    before = module.q_proj(hidden).view(1, TOKENS, QUERY_HEADS, HEAD_DIM).transpose(1, 2)
    after, _ = apply_rotary_pos_emb(before, before, *kwargs["position_embeddings"])
    tensors.update(hidden=hidden[0], query_before_rope=before[0], query=after[0], key=cache.keys[0], value=cache.values[0],
                   attention_block_output=output[0][0])
    for name, call in SCORES.items():
        press = eval(call.rstrip(","))
        tensors[name] = press.score(module, hidden, cache.keys.clone(), cache.values.clone(), output[1], kwargs)[0].double()
    return output


attention.register_forward_hook(record, with_kwargs=True)
with torch.no_grad():
    model(torch.randint(0, 300, (1, TOKENS)), past_key_values=DynamicCache(), use_cache=True)
described = {"kv_len": TOKENS, "num_query_heads": QUERY_HEADS, "num_kv_heads": KV_HEADS, "head_dim": HEAD_DIM,
             "rope_theta": THETA, "scores": SCORES}
save_file({name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()},
          Path(__file__).with_name("arguments-t53-d8.safetensors"), metadata={"config": json.dumps(described)})
