//! The kernels against every case of the golden suite: one `#[test]` a case.

use golden::check::Values;
use golden::{Case, OutputKind, OutputSpec, AttentionProblem};
use kernel_crate::{Inputs, joint};
use ndarray::{ArrayD, IxDyn};

/// Output, log-sum-exp, and the joint score over any query window; `None` for the rest.
fn kernel(case: &Case, output: &OutputSpec) -> Option<Values> {
    let plain = OutputSpec {
        query_window: output.query_window,
        ..output.kind.into()
    };
    if *output != plain {
        return None;
    }
    let problem = &case.problem;
    let first_query = output.query_window.queries(problem.query_len()).start;
    let results = joint(&inputs(problem, first_query));
    let numbers = match output.kind {
        OutputKind::Output => results.output,
        OutputKind::LogSumExp => results.log_sum_exp,
        OutputKind::Joint => results.saliency,
        _ => return None,
    };
    let shape = IxDyn(&output.shape(problem));
    ArrayD::from_shape_vec(shape, numbers).ok().map(Values::from)
}

fn inputs(problem: &AttentionProblem, first_query: usize) -> Inputs {
    let narrow = |numbers: &ndarray::Array3<f64>| numbers.iter().map(|&x| x as f32).collect();
    let pairs = (0..problem.query_len()).flat_map(|i| (0..problem.kv_len()).map(move |j| (i, j)));
    Inputs {
        query: narrow(&problem.query),
        key: narrow(&problem.key),
        value: narrow(&problem.value),
        visible: pairs.map(|(i, j)| problem.visible(i, j).into()).collect(),
        sinks: problem
            .sinks
            .as_ref()
            .map(|sinks| sinks.iter().map(|&sink| sink as f32).collect()),
        scale: problem.scale as f32,
        softcap: problem.softcap.map(|cap| cap as f32),
        num_query_heads: problem.num_query_heads(),
        num_kv_heads: problem.num_kv_heads(),
        query_len: problem.query_len(),
        kv_len: problem.kv_len(),
        head_dim: problem.head_dim(),
        value_dim: problem.value_dim(),
        first_query,
    }
}

// Vulkan lets exp be off by 3 + 2|x| ulps, 16 where a weight is above e^-6.5; on Mesa's software Vulkan two cases need it. A device
// whose exp is a good library's needs no such word.
golden::conformance! { kernel = kernel, exp_ulps = 16 }
