//! The kernels: one unit per query row, then one per cached token. Simple, and as slow as that.

use cubecl::prelude::*;

/// The numbers that both kernels are given.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Shape {
    /// Factor on the dot product.
    pub scale: f32,
    /// Bound of the soft-cap; read only by kernels compiled with one.
    pub softcap: f32,
    /// Queries of a head.
    pub query_len: usize,
    /// Tokens of a head.
    pub kv_len: usize,
    /// Query heads that read one KV head.
    pub group_size: usize,
}

/// The scaled logit of the query row and the token whose channels start at the given places.
#[cube]
fn logit(query: &[f32], query_start: usize, key: &[f32], key_start: usize, head_dim: usize, scale: f32) -> f32 {
    let mut product = 0.0f32;
    for c in 0..head_dim {
        product += query[query_start + c] * key[key_start + c];
    }
    scale * product
}

/// What enters the softmax.
#[cube]
fn softmax_input(z: f32, softcap: f32, #[comptime] capped: bool) -> f32 {
    if capped { softcap * (z / softcap).tanh() } else { z }
}

/// Output and log-sum-exp of every query row; 0 and minus infinity where it sees nothing.
#[cube(launch)]
pub(crate) fn attention(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    visible: &[u32],
    sinks: &[f32],
    output: &mut [f32],
    log_sum_exp: &mut [f32],
    shape: &Shape,
    #[comptime] head_dim: usize,
    #[comptime] value_dim: usize,
    #[comptime] capped: bool,
    #[comptime] with_sinks: bool,
) {
    let row = ABSOLUTE_POS;
    if row < log_sum_exp.len() {
        let i = row % shape.query_len;
        let head = row / shape.query_len;
        let first_token = head / shape.group_size * shape.kv_len;
        let mut maximum = f32::min_value();
        if with_sinks {
            maximum = sinks[head];
        }
        for j in 0..shape.kv_len {
            if visible[i * shape.kv_len + j] == 1 {
                let z = logit(query, row * head_dim, key, (first_token + j) * head_dim, head_dim, shape.scale);
                let u = softmax_input(z, shape.softcap, capped);
                if u > maximum {
                    maximum = u;
                }
            }
        }
        for c in 0..value_dim {
            output[row * value_dim + c] = 0.0f32;
        }
        let mut sum = 0.0f32;
        if with_sinks {
            sum = (sinks[head] - maximum).exp();
        }
        for j in 0..shape.kv_len {
            if visible[i * shape.kv_len + j] == 1 {
                let z = logit(query, row * head_dim, key, (first_token + j) * head_dim, head_dim, shape.scale);
                let exponential = (softmax_input(z, shape.softcap, capped) - maximum).exp();
                sum += exponential;
                for c in 0..value_dim {
                    output[row * value_dim + c] += exponential * value[(first_token + j) * value_dim + c];
                }
            }
        }
        if sum > 0.0f32 {
            for c in 0..value_dim {
                output[row * value_dim + c] = output[row * value_dim + c] / sum;
            }
        }
        log_sum_exp[row] = maximum + sum.ln();
    }
}

/// The joint score of every query head and token, summed over the queries from `first_query` on.
#[cube(launch)]
pub(crate) fn joint_score(
    query: &[f32],
    key: &[f32],
    value: &[f32],
    visible: &[u32],
    output: &[f32],
    log_sum_exp: &[f32],
    saliency: &mut [f32],
    shape: &Shape,
    first_query: usize,
    #[comptime] head_dim: usize,
    #[comptime] value_dim: usize,
    #[comptime] capped: bool,
) {
    let column = ABSOLUTE_POS;
    if column < saliency.len() {
        let head = column / shape.kv_len;
        let j = column % shape.kv_len;
        let token = head / shape.group_size * shape.kv_len + j;
        let mut sum = 0.0f32;
        for i in first_query..shape.query_len {
            if visible[i * shape.kv_len + j] == 1 {
                let row = head * shape.query_len + i;
                let z = logit(query, row * head_dim, key, token * head_dim, head_dim, shape.scale);
                let weight = (softmax_input(z, shape.softcap, capped) - log_sum_exp[row]).exp();
                let mut moved = z;
                if capped {
                    let bent = (z / shape.softcap).tanh();
                    moved = z * (1.0f32 - bent * bent);
                }
                for c in 0..value_dim {
                    let v = value[token * value_dim + c];
                    let change = weight * (v + moved * (v - output[row * value_dim + c]));
                    sum += change * change;
                }
            }
        }
        saliency[column] = sum;
    }
}
