"""Reads the golden suite with NumPy alone, or into PyTorch: copy this page into your own tests.

    suite = Suite("vectors")
    for case in suite.cases(family="sliding-window", flag="window-edge", dtype="f32"):
        query, key, value = case.inputs["query"], case.inputs["key"], case.inputs["value"]
        got = my_kernel(query, key, value, case.problem["scale"], case.visible())
        print(case.id, abs(got - case.outputs["output"]).max())

Shapes: query (query heads, queries, channels), key and value (KV heads, tokens, channels), output like query,
log-sum-exp (query heads, queries), every saliency (heads, tokens). README.md has the formulas.
"""

import hashlib
import json
import pathlib
import struct
import sys

import numpy as np

FORMATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "BOOL": "?"}


def tensors(data):
    """Name -> array of every tensor in the bytes of a safetensors file; bf16, which NumPy lacks, is widened to f32."""
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    read = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = about["data_offsets"]
        array = np.frombuffer(data[8 + length + begin : 8 + length + end], FORMATS[about["dtype"]])
        if about["dtype"] == "BF16":
            array = (array.astype("<u4") << 16).view("<f4")
        read[name] = array.reshape(about["shape"])
    return read


def to_torch(array, dtype):
    """A tensor of a case's dtype; widening and rounding back loses nothing."""
    import torch

    return torch.from_numpy(array.copy()).to({"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype])


class Case:
    """One problem: `inputs` and certified `outputs` by name, `problem` and the other entries of the manifest."""

    def __init__(self, entry, read):
        self.entry, self.id, self.problem = entry, entry["id"], entry["problem"]
        self.inputs = self._part(read, "input")
        self.outputs = self._part(read, "output")

    def _part(self, read, part):
        prefix = f"{self.id}/{part}/"
        return {name[len(prefix) :]: array for name, array in read.items() if name.startswith(prefix)}

    def visible(self):
        """Who sees whom, (queries, tokens): causal order and window count from the end of each sequence."""
        mask = self.problem["mask"]
        shape = self.problem["query_len"], self.problem["kv_len"]
        segments = mask["segments"] or {"query": [0, shape[0]], "kv": [0, shape[1]]}
        seen = np.zeros(shape, bool)
        bounds = zip(segments["query"], segments["query"][1:], segments["kv"], segments["kv"][1:])
        for q0, q1, k0, k1 in bounds:
            age = np.arange(q1 - q0)[:, None] + (k1 - k0) - (q1 - q0) - np.arange(k1 - k0)[None, :]
            seen[q0:q1, k0:k1] = (age >= 0) | (not mask["causal"])
            if mask["sliding_window"] is not None:
                seen[q0:q1, k0:k1] &= age < mask["sliding_window"]
        return seen & self.inputs["mask"] if mask["explicit"] else seen


class Suite:
    """The manifest, and the cases of every file, read as they are asked for and checked against their digests."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        self.digests = {file["name"]: file["sha256"] for file in self.manifest["files"]}
        self.files = {}

    def cases(self, family=None, flag=None, dtype=None):
        for entry in self.manifest["cases"]:
            wanted = family in (None, entry["family"]) and dtype in (None, entry["problem"]["dtype"])
            if wanted and (flag is None or flag in entry["flags"]):
                yield Case(entry, self._file(entry["file"]))

    def decode_traces(self):
        for entry in self.manifest["decode_traces"]:
            yield Case(entry, self._file(entry["file"]))

    def _file(self, name):
        if name not in self.files:
            data = (self.folder / name).read_bytes()
            if hashlib.sha256(data).hexdigest() != self.digests[name]:
                raise ValueError(f"{name} is not the file that the manifest was written with")
            self.files[name] = tensors(data)
        return self.files[name]


def attention(case):
    """Output and log-sum-exp in float64, for every option of the suite: a reference of a dozen lines."""
    problem = case.problem
    query, key, value = (case.inputs[name].astype(np.float64) for name in ("query", "key", "value"))
    group = problem["num_query_heads"] // problem["num_kv_heads"]
    key, value = np.repeat(key, group, axis=0), np.repeat(value, group, axis=0)
    logits = problem["scale"] * np.einsum("hic,hjc->hij", query, key)
    if problem["softcap"] is not None:
        logits = problem["softcap"] * np.tanh(logits / problem["softcap"])
    logits = np.where(case.visible(), logits, -np.inf)
    sink = case.inputs["sink"].astype(np.float64)[:, None] if problem["sink"] else np.full((len(query), 1), -np.inf)
    largest = np.maximum(logits.max(axis=2), sink)
    shift = np.where(np.isinf(largest), 0.0, largest)
    exponentials = np.exp(logits - shift[:, :, None])
    total = exponentials.sum(axis=2) + np.exp(sink - shift)
    with np.errstate(divide="ignore"):
        log_sum_exp = shift + np.log(total)
    weights = exponentials / np.where(total == 0.0, 1.0, total)[:, :, None]
    return np.einsum("hij,hjc->hic", weights, value), log_sum_exp


def main():
    suite = Suite(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent))
    worst, cases = 0.0, 0
    for case in suite.cases():
        cases += 1
        if "output" in case.outputs:
            output, log_sum_exp = attention(case)
            with np.errstate(invalid="ignore"):
                off = [np.abs(output - case.outputs["output"]), np.abs(log_sum_exp - case.outputs["log-sum-exp"])]
            about = case.entry["conditioning"]
            sizes = [1.0 + about["largest_value"], 1.0 + about["largest_logit_terms"]]
            found = max(float(np.nan_to_num(o).max()) / s for o, s in zip(off, sizes))
            if not found < 1e-12:
                sys.exit(f"{case.id}: float64 is off by {found:.1e} of the largest value or logit")
            worst = max(worst, found)
    traces = sum(1 for _ in suite.decode_traces())
    print(f"suite {suite.manifest['version']}: {cases} cases and {traces} decode traces, digests as in the manifest")
    print(f"attention in NumPy's float64 agrees to {worst:.1e} of the largest value or logit")


if __name__ == "__main__":
    main()
