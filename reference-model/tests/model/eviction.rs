//! What a model does with an evicted cache is what removal does to attention.

use ndarray::Array1;
use obcache_scores::Score;
use obcache_scores::serve::{Policy, Tracker};
use obd_core::QueryWindow;
use reference_attention::attend;
use reference_model::{Attended, LayerCache, Model, Source};
use strip_engine::Column;

use crate::fixtures;

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
            Ok(())
        })
        .unwrap();
    let first = first.unwrap();
    for split in [false, true] {
        let mut cache = model.cache();
        model.prefill(read, &mut cache, &mut |_, _| Ok(())).unwrap();
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
        let mut compare = |layer: usize, set: usize, step: &strip_engine::Step<f64>| {
            if layer > 0 {
                return Ok(());
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
                    let difference = saliencies.column(Column::Weight)[slot] - weights[[0, token]];
                    assert!(difference.abs() < IN_64_BITS, "token {token}");
                }
                compared += 1;
            }
            Ok(())
        };
        model.decode(last, &mut cache, &mut compare).unwrap();
        assert_eq!(compared, config.groups.num_query_heads());
    }
}

#[test]
fn slots_that_are_not_there_are_refused() {
    let model: Model<f32> = Model::load(&Source::llama_tiny()).unwrap();
    let mut cache = model.cache();
    model.prefill(&[1, 2, 3], &mut cache, &mut |_, _| Ok(())).unwrap();
    let head = &mut cache.layers_mut()[0].heads_mut()[0];
    assert!(head.keep(&[1, 1]).is_err() && head.keep(&[3]).is_err());
    assert_eq!(head.positions(), [0, 1, 2]);
    head.keep(&[0, 2]).unwrap();
    assert_eq!(head.positions(), [0, 2]);
}

/// Sums of weights over all queries, by each query head of each set of a layer.
fn tracked(cache: &mut LayerCache<f64>, attended: &Attended<f64>) {
    let readers = attended.saliencies.len() / cache.heads().len();
    let groups = attended.saliencies.chunks(readers);
    let trackers = groups.map(|group| {
        let mut tracker = Tracker::group(Policy::published("h2o_fullhist", 4, 4).unwrap(), readers).unwrap();
        let add = |reader: usize, score, sums: &mut Array1<f64>| sums.assign(group[reader].score(score).unwrap());
        tracker
            .take_prefill(group[0].column(Column::Weight).len(), add)
            .unwrap();
        tracker
    });
    cache.track(trackers.collect()).unwrap();
}

#[test]
fn trackers_follow_the_cache_through_sliding_windows_and_evictions() {
    let model: Model<f64> = Model::load(&Source::folder(fixtures().join("qwen2-window"))).unwrap();
    for split in [false, true] {
        let (mut cache, mut layers) = (model.cache(), Vec::new());
        let mut keep = |_: usize, attended: &Attended<f64>| {
            layers.push(attended.clone());
            Ok(())
        };
        model.prefill(&[1, 2, 3, 4, 5], &mut cache, &mut keep).unwrap();
        for (layer, attended) in cache.layers_mut().iter_mut().zip(&layers) {
            if split {
                layer.split();
            }
            tracked(layer, attended);
        }
        // The weight that the first query head of each set gives every position, step by step.
        let mut sums: Vec<Vec<[f64; 32]>> = cache
            .layers()
            .iter()
            .map(|layer| vec![[0.0; 32]; layer.heads().len()])
            .collect();
        for (layer, sums) in cache.layers().iter().zip(&mut sums) {
            for (head, sums) in layer.heads().iter().zip(sums) {
                sums[..5].copy_from_slice(head.tracker().saliencies()[0].as_slice().unwrap());
            }
        }
        for token in 6..20 {
            let before: Vec<Vec<Vec<usize>>> = cache
                .layers()
                .iter()
                .map(|layer| layer.heads().iter().map(|head| head.positions().to_vec()).collect())
                .collect();
            let mut add = |layer: usize, head: usize, step: &strip_engine::Step<f64>| {
                let positions = before[layer][head].iter().copied().chain([token as usize - 1]);
                let hidden = before[layer][head].len() + 1 - step.kv_len();
                for (position, weight) in positions.skip(hidden).zip(step.saliencies(0).column(Column::Weight)) {
                    sums[layer][head][position] += weight;
                }
                Ok(())
            };
            model.decode(&[token], &mut cache, &mut add).unwrap();
            for (layer, sums) in cache.layers_mut().iter_mut().zip(&sums) {
                for (head, sums) in layer.heads_mut().iter_mut().zip(sums) {
                    let expected: Array1<f64> = head.positions().iter().map(|&position| sums[position]).collect();
                    assert_eq!(head.tracker().saliencies()[0], expected);
                    let slots = head.tracker().choice().unwrap();
                    assert!(slots.len() <= 8);
                    head.keep(&slots).unwrap();
                }
            }
        }
        // The second layer's window of 7 tokens hides older ones than its budget of 8 would.
        let positions = |layer: usize| cache.layers()[layer].heads()[0].positions();
        assert_eq!(
            (positions(0).len(), positions(1)),
            (8, &[12, 13, 14, 15, 16, 17, 18][..])
        );
    }
}

#[test]
fn trackers_of_other_tokens_or_heads_are_refused() {
    let model: Model<f64> = Model::load(&Source::llama_tiny()).unwrap();
    let mut cache = model.cache();
    model.prefill(&[1, 2, 3], &mut cache, &mut |_, _| Ok(())).unwrap();
    let layer = &mut cache.layers_mut()[0];
    let (sets, readers) = (layer.heads().len(), layer.heads()[0].tracker().query_heads());
    let mut refused = |sets: usize, readers: usize, tokens: usize| {
        let mut tracker = Tracker::group(Policy::unscored(2), readers).unwrap();
        tracker.take_prefill(tokens, |_, _, _| {}).unwrap();
        layer.track(vec![tracker; sets]).is_err()
    };
    assert!(refused(sets + 1, readers, 3) && refused(sets, readers + 1, 3) && refused(sets, readers, 2));
    assert!(!refused(sets, readers, 3));
    // A prompt does not go into a cache that is tracked.
    let mut cache = model.cache();
    let tracker = Tracker::group(Policy::published("h2o", 1, 1).unwrap(), readers).unwrap();
    cache.layers_mut()[0].track(vec![tracker; sets]).unwrap();
    assert!(model.prefill(&[1], &mut cache, &mut |_, _| Ok(())).is_err());
}
