//! What a model does with an evicted cache is what removal does to attention.

use obcache_scores::Score;
use obd_core::QueryWindow;
use reference_attention::attend;
use reference_model::{LayerCache, Model, Source};

/// Terms of the dot products and sums of one output, times the unit roundoff of 64 bits, times what the largest logits and
/// values here, both below 100, can lift it by.
const IN_64_BITS: f64 = 200.0 * 1.2e-16 * 1e4;

#[test]
fn c41_an_evicted_token_is_a_removed_one() {
    let model: Model<f64> = Model::load(&Source::llama_tiny()).unwrap();
    let config = model.config();
    let tokens: Vec<u32> = b"\0What is forgotten is not what was never seen."
        .iter()
        .map(|&byte| byte.into())
        .collect();
    let (read, last) = tokens.split_at(tokens.len() - 1);
    // The first layer's queries, keys and values do not depend on any cache.
    let mut first = None;
    model
        .prefill(&tokens, &mut model.cache(), &mut |layer, attended| {
            if layer == 0 {
                first = Some(attended.clone());
            }
        })
        .unwrap();
    let first = first.unwrap();
    for split in [false, true] {
        let mut cache = model.cache();
        model.prefill(read, &mut cache, &mut |_, _| {}).unwrap();
        if split {
            cache.layers_mut().iter_mut().for_each(LayerCache::split);
        }
        // Every set keeps other tokens.
        let kept = |set: usize| {
            (0..read.len())
                .filter(|token| !(token + set).is_multiple_of(3))
                .collect::<Vec<_>>()
        };
        for (set, head) in cache.layers_mut()[0].heads_mut().iter_mut().enumerate() {
            head.keep(&kept(set)).unwrap();
        }
        let sets = cache.layers()[0].heads().len();
        let readers = config.groups.num_query_heads() / sets;
        let mut compared = 0;
        let mut compare = |layer: usize, set: usize, step: &obcache_scores::strip::Step<f64>| {
            if layer > 0 {
                return;
            }
            let kept = kept(set);
            let evicted: Vec<usize> = (0..read.len()).filter(|token| !kept.contains(token)).collect();
            for place in 0..readers {
                let head = first.head(config, set * readers + place, QueryWindow::Last(1)).unwrap();
                let head = head.without(&evicted);
                let trace = attend(&head);
                let saliencies = step.saliencies(place);
                let difference = (&saliencies.output - &trace.output).fold(0f64, |most, x| most.max(x.abs()));
                assert!(difference < IN_64_BITS, "set {set}: {difference:e}");
                // The step's saliencies are those of the kept tokens, in their order, the new token last.
                let weights = Score::Weight.contributions(&head, &trace);
                for (slot, token) in kept.iter().copied().chain([read.len()]).enumerate() {
                    let difference = saliencies.weight[slot] - weights[[0, token]];
                    assert!(difference.abs() < IN_64_BITS, "token {token}");
                }
                compared += 1;
            }
        };
        model.decode(last, &mut cache, &mut compare).unwrap();
        assert_eq!(compared, config.groups.num_query_heads());
    }
}

#[test]
fn slots_that_are_not_there_are_refused() {
    let model: Model<f32> = Model::load(&Source::llama_tiny()).unwrap();
    let mut cache = model.cache();
    model.prefill(&[1, 2, 3], &mut cache, &mut |_, _| {}).unwrap();
    let head = &mut cache.layers_mut()[0].heads_mut()[0];
    assert!(head.keep(&[1, 1]).is_err() && head.keep(&[3]).is_err());
    assert_eq!(head.positions(), [0, 1, 2]);
    head.keep(&[0, 2]).unwrap();
    assert_eq!(head.positions(), [0, 2]);
}
