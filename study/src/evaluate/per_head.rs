//! One head at a time: how far its output moves, and how far the model's predictions.

use std::collections::BTreeMap;

use super::error::EvaluateError;
use super::judge::Judge;
use super::{Form, HeadPoint, Method};
use obcache_scores::Score;
use strip_engine::Step;

/// Share of the prompt that the one head keeps, in percent.
const BUDGET: u32 = 10;

/// H2O and those of its replacements that are looked at head by head.
const SHOWN: [Method; 3] = [
    Method::Scored(Score::Weight, Form::H2o),
    Method::Scored(Score::Joint, Form::H2o),
    Method::Scored(Score::Removal, Form::H2o),
];

/// Outputs of the heads of a run, token after token: squared norms need no more.
type Outputs = BTreeMap<(usize, usize), Vec<f32>>;

/// One point a query head for each of [`SHOWN`] that is among `methods`.
pub(super) fn points(judge: &Judge, methods: &[Method]) -> Result<Vec<HeadPoint>, EvaluateError> {
    let wanted = |method: &&Method| SHOWN.contains(method);
    let groups = judge.model.config().groups;
    let mut full = Outputs::new();
    let mut cache = judge.prompt.cache().clone();
    let mut keep = |layer: usize, kv_head: usize, step: &Step<f32>| {
        for (place, head) in groups.query_heads(kv_head).enumerate() {
            full.entry((layer, head))
                .or_default()
                .extend(step.saliencies(place).output.iter());
        }
        Ok(())
    };
    judge.model.decode(judge.document.inputs(), &mut cache, &mut keep)?;
    let mut points = Vec::new();
    for &method in methods.iter().filter(wanted) {
        for layer in 0..judge.model.config().num_layers {
            for head in 0..groups.num_query_heads() {
                let mut thinned = judge.prompt.thinned_in(method, judge.tokens(BUDGET), (layer, head))?;
                let mut outputs = Vec::new();
                judge.model.decode(
                    judge.document.inputs(),
                    &mut thinned.cache.clone(),
                    &mut |at, of, step| {
                        if (at, of) == (layer, head) {
                            outputs.extend(step.saliencies(0).output.iter());
                        }
                        Ok(())
                    },
                )?;
                points.push(HeadPoint {
                    document: judge.document.name.clone(),
                    method,
                    layer,
                    head,
                    perturbation: relative_change(&full[&(layer, head)], &outputs),
                    divergence: judge.judged(&mut thinned.cache)?.divergence,
                });
            }
        }
    }
    Ok(points)
}

fn relative_change(from: &[f32], to: &[f32]) -> f64 {
    let squared = |x: f32| f64::from(x) * f64::from(x);
    let change: f64 = from.iter().zip(to).map(|(&from, &to)| squared(to - from)).sum();
    change / from.iter().map(|&from| squared(from)).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::relative_change;

    #[test]
    fn by_hand() {
        assert_eq!(relative_change(&[3.0, 4.0], &[3.0, 5.0]), 0.04);
    }
}
