//! Numbers to the device, two launches, numbers back.

use cubecl::client::Client;
use cubecl::prelude::*;
use cubecl::server::Handle;

use crate::kernels::{ShapeLaunch, attention, joint_score};

/// Units of one cube.
const CUBE: u32 = 64;

/// An attention layer in f32, each tensor in row-major order.
///
/// | field | shape |
/// |---|---|
/// | `query` | (num_query_heads, query_len, head_dim) |
/// | `key` | (num_kv_heads, kv_len, head_dim) |
/// | `value` | (num_kv_heads, kv_len, value_dim) |
/// | `visible` | (query_len, kv_len), 1 where the query sees the token, otherwise 0 |
/// | `sinks` | (num_query_heads), where there are sink logits |
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Queries.
    pub query: Vec<f32>,
    /// Keys.
    pub key: Vec<f32>,
    /// Values.
    pub value: Vec<f32>,
    /// Who sees whom.
    pub visible: Vec<u32>,
    /// Sink logits.
    pub sinks: Option<Vec<f32>>,
    /// Factor on the dot product.
    pub scale: f32,
    /// Bound of the logit soft-cap.
    pub softcap: Option<f32>,
    /// Query heads; a multiple of the KV heads.
    pub num_query_heads: usize,
    /// KV heads.
    pub num_kv_heads: usize,
    /// Queries of a head.
    pub query_len: usize,
    /// Tokens of a head.
    pub kv_len: usize,
    /// Channels of a query and of a key.
    pub head_dim: usize,
    /// Channels of a value.
    pub value_dim: usize,
    /// The first query that the joint score sums over.
    pub first_query: usize,
}

/// What the kernels compute, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Attention output, shape (num_query_heads, query_len, value_dim).
    pub output: Vec<f32>,
    /// Log of the softmax denominator, natural base, shape (num_query_heads, query_len).
    pub log_sum_exp: Vec<f32>,
    /// Joint score, shape (num_query_heads, kv_len).
    pub saliency: Vec<f32>,
}

/// Runs both kernels on the default device of the compiled backend.
///
/// # Panics
/// Where there is no device, or a tensor has not the length that the shape says.
pub fn joint(inputs: &Inputs) -> Joint {
    let client = cubecl::Device::default().client();
    let (rows, columns) = (
        inputs.num_query_heads * inputs.query_len,
        inputs.num_query_heads * inputs.kv_len,
    );
    let no_sinks = vec![0.0];
    let query = Buffer::from(&client, &inputs.query);
    let key = Buffer::from(&client, &inputs.key);
    let value = Buffer::from(&client, &inputs.value);
    let visible = Buffer::from(&client, &inputs.visible);
    let sinks = Buffer::from(&client, inputs.sinks.as_ref().unwrap_or(&no_sinks));
    let output = Buffer::zeroed(&client, rows * inputs.value_dim);
    let log_sum_exp = Buffer::zeroed(&client, rows);
    let saliency = Buffer::zeroed(&client, columns);
    let cubes = |units: usize| CubeCount::Static((units as u32).div_ceil(CUBE), 1, 1);
    attention::launch(
        &client,
        cubes(rows),
        CubeDim::new_1d(CUBE),
        query.arg(),
        key.arg(),
        value.arg(),
        visible.arg(),
        sinks.arg(),
        output.arg(),
        log_sum_exp.arg(),
        inputs.shape(),
        inputs.head_dim,
        inputs.value_dim,
        inputs.softcap.is_some(),
        inputs.sinks.is_some(),
    );
    joint_score::launch(
        &client,
        cubes(columns),
        CubeDim::new_1d(CUBE),
        query.arg(),
        key.arg(),
        value.arg(),
        visible.arg(),
        output.arg(),
        log_sum_exp.arg(),
        saliency.arg(),
        inputs.shape(),
        inputs.first_query,
        inputs.head_dim,
        inputs.value_dim,
        inputs.softcap.is_some(),
    );
    Joint {
        output: output.read(&client),
        log_sum_exp: log_sum_exp.read(&client),
        saliency: saliency.read(&client),
    }
}

impl Inputs {
    fn shape(&self) -> ShapeLaunch {
        ShapeLaunch::new(
            self.scale,
            self.softcap.unwrap_or(1.0),
            self.query_len,
            self.kv_len,
            self.num_query_heads / self.num_kv_heads,
        )
    }
}

/// Numbers on the device.
struct Buffer {
    handle: Handle,
    length: usize,
}

impl Buffer {
    fn from<N: CubeElement>(client: &Client, numbers: &[N]) -> Self {
        Self {
            handle: client.create_from_slice(N::as_bytes(numbers)),
            length: numbers.len(),
        }
    }

    fn zeroed(client: &Client, length: usize) -> Self {
        Self::from(client, &vec![0.0f32; length])
    }

    fn arg(&self) -> BufferArg {
        // SAFETY: the handle was made for exactly so many numbers and lives as long as the buffer.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.length) }
    }

    fn read(self, client: &Client) -> Vec<f32> {
        f32::from_bytes(&client.read_one_unchecked(self.handle)).to_vec()
    }
}
