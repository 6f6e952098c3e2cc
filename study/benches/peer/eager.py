"""The scores of one causal head in eager PyTorch, from the formulas: what a researcher would write first.

Usage: eager.py TOKENS HEAD_DIM THREADS REPEATS. Prints the seconds of each repeat, one a line.
32-bit, all tokens queries. Every score and exact perturbation that the strip engine yields, except that differences
are taken in the expanded form, without its care for cancellation.
"""

import math
import sys
import time

import torch


def scores(query, key, value):
    tokens, head_dim = query.shape
    hidden = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
    z = query @ key.T / math.sqrt(head_dim)
    masked = z.masked_fill(hidden, -torch.inf)
    lse = masked.logsumexp(-1, keepdim=True)
    a = torch.exp(masked - lse)
    o = a @ value
    product = o @ value.T
    value_norm = value.square().sum(-1)
    output_norm = o.square().sum(-1, keepdim=True)
    distance = (value_norm - 2 * product + output_norm).clamp(min=0)
    along_value = value_norm - product
    a2 = a.square()
    value_score = a2.sum(0) * value_norm
    result = {
        "weight": a.sum(0),
        "value": value_score,
        "value-p1": a.sum(0) * value.abs().sum(-1),
    }
    mean = (a * z).sum(-1, keepdim=True)
    for name, level in (("", z), ("-lse", z - lse), ("-mean", z - mean)):
        key_score = (a2 * level.square() * distance).sum(0)
        result["key" + name] = key_score
        result["joint" + name] = value_score + key_score + 2 * (a2 * level * along_value).sum(0)
    result["joint-no-cross"] = value_score + result["key"]
    result["removal"] = ((a / (1 - a)).square() * distance).nan_to_num(0).sum(0)
    gain = a * torch.expm1(-z)
    denominator = 1 + gain
    result["key-zeroing"] = ((gain / denominator).square() * distance).sum(0)
    zeroed = a * torch.exp(-z)
    joint = a2 * distance + 2 * a * zeroed * (along_value - distance) + zeroed.square() * output_norm
    result["joint-zeroing"] = (joint / denominator.square()).sum(0)
    return o, lse, result


def main():
    tokens, head_dim, threads, repeats = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    tensors = [torch.randn(tokens, head_dim) for _ in range(3)]
    scores(*(tensor[:256] for tensor in tensors))
    for _ in range(repeats):
        start = time.perf_counter()
        scores(*tensors)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    with torch.no_grad():
        main()
