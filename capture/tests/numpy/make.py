"""Writes toy.npz and bytes.npz beside this file: a capture as NumPy saves it, metadata as text and as bytes."""
import json
import pathlib

import numpy as np

folder = pathlib.Path(__file__).parent
metadata = json.dumps(dict(version=1, model="toy", scale=0.5, causal=True, num_query_heads=2, num_kv_heads=1,
                           head_dim=2, value_dim=1, text="föö"))
tensors = {
    "layer.0.query": np.arange(12, dtype=np.float16).reshape(2, 3, 2),
    "layer.0.key": np.full((1, 3, 2), 0.5, dtype=np.float32),
    "layer.0.value": np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1),
    "tokens": np.array([7, 8, 9]),
}
np.savez(folder / "toy.npz", obcache_capture=metadata, **tensors)
np.savez_compressed(folder / "bytes.npz", obcache_capture=np.frombuffer(metadata.encode(), dtype=np.uint8), **tensors)
