//! `obcache generate`: a text that a model writes with a reduced cache.

use std::collections::BTreeMap;

use clap::Args;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::checkpoint::{Checkpoint, CheckpointArguments};
use super::failure::Failure;
use study::evaluate::{Document, Grouping, Method, Prompt, Task, When};

/// Continues a prompt with a cache that a score keeps within a budget, and shows which tokens stayed.
///
/// The model reads the prompt with the whole cache. Then, and after every token that it writes (--when), each head evicts the tokens
/// beyond the budget. The printed text shades each token of the prompt by the share of the heads that still hold it at the end.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// Text to continue.
    #[arg(long)]
    prompt: String,

    /// Way to choose the tokens that stay, as in obcache evaluate: full, h2o, tova, snapkv, value, key, joint, h2o+joint, ...
    #[arg(long, default_value = "joint")]
    score: Method,

    /// Share of the prompt that stays, above 0 and at most 1.
    #[arg(long, default_value = "0.1", value_parser = fraction)]
    budget: f64,

    /// Heads that share a choice: query-head, kv-sum, kv-max.
    #[arg(long, default_value = "kv-sum")]
    groups: Grouping,

    /// When tokens are evicted: prefill, once after the prompt; decode, also after every token that is written.
    #[arg(long, default_value = "decode")]
    when: When,

    /// Tokens to write.
    #[arg(long, default_value = "64")]
    tokens: usize,

    /// Temperature: 0 takes the most probable token, a higher one draws more freely.
    #[arg(long, default_value = "0", value_parser = temperature)]
    temperature: f64,

    /// Seed of the draws (ChaCha8).
    #[arg(long, default_value = "0")]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  obcache generate --prompt ' The code of river is 5260. We go on. The code of river is' --tokens 6
      keep a tenth of the cache by the joint score
  obcache generate --prompt \"$(cat story.txt)\" --model Llama-3.2-1B --score snapkv+joint --budget 0.2 --temperature 0.8
      sample from a model of your own
  obcache generate --prompt 'Once' --score full
      keep the whole cache, for comparison";

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(fraction),
        _ => Err("expected a number above 0 and at most 1".to_owned()),
    }
}

fn temperature(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(temperature) if (0.0..=100.0).contains(&temperature) => Ok(temperature),
        _ => Err("expected a number from 0 to 100".to_owned()),
    }
}

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        if (self.score, self.when) == (Method::Greedy, When::Decode) {
            return Err(Failure::Input(
                "--score greedy evicts a whole set at once and not token by token; use --when prefill, or choose another"
                    .to_owned(),
            ));
        }
        let checkpoint = self.checkpoint.load()?;
        let Checkpoint { model, tokenizer, .. } = &checkpoint;
        let mut prompt = tokenizer.encode(&self.prompt)?;
        let start = model.config().start_token.filter(|start| prompt.first() != Some(start));
        prompt.splice(..0, start);
        let Some((&last, read)) = prompt.split_last().filter(|(_, read)| !read.is_empty()) else {
            return Err(Failure::Input("--prompt: expected at least 2 tokens".to_owned()));
        };
        if matches!((self.score, self.when), (Method::Scored(..), When::Decode)) {
            checkpoint.check_windows(read.len() + self.tokens)?;
        }
        let document = Document {
            name: "prompt".to_owned(),
            task: Task::Text,
            length: prompt.len(),
            depth: None,
            prompt: read.to_vec(),
            continuation: Vec::new(),
            judged_from: 1,
        };
        let budget = ((prompt.len() as f64 * self.budget) as usize).max(1);
        let mut thinned = Prompt::new(model, &document)?.thinned(self.score, self.groups, budget)?;
        let (mut written, mut next) = (Vec::new(), last);
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        for _ in 0..self.tokens {
            let hidden = match self.when {
                When::Prefill => model.decode(&[next], &mut thinned.cache, &mut |_, _, _| Ok(()))?,
                When::Decode => {
                    let hidden = thinned.decode(model, next)?;
                    thinned.evict()?;
                    hidden
                }
            };
            next = self.choose(&model.logits(hidden.view()).row(0).to_vec(), &mut generator)?;
            written.push(next);
        }
        let mut holders: BTreeMap<usize, usize> = BTreeMap::new();
        let sets = || thinned.cache.layers().iter().flat_map(|layer| layer.heads());
        sets()
            .flat_map(|head| head.positions())
            .for_each(|&position| *holders.entry(position).or_default() += 1);
        // What no head holds has no entry.
        let share = |position: usize| holders.get(&position).copied().unwrap_or(0) as f64 / sets().count() as f64;
        let mut text = String::new();
        for (position, token) in prompt.iter().enumerate().skip(start.iter().len()) {
            text.push_str(&shaded(&tokenizer.decode(&[*token])?, share(position)));
        }
        let legend: String = [0.0, 0.2, 0.5, 0.9]
            .map(|share| shaded(&format!(" {:.0} % ", 100.0 * share), share))
            .concat();
        let kept = match self.score {
            Method::Full => "the whole cache is kept".to_owned(),
            score => format!("kept by {score} at {budget} tokens a head"),
        };
        Ok(format!(
            "{text}{}\n\n{kept}; shade: share of the heads that hold the token{legend}",
            bold(&tokenizer.decode(&written)?)
        ))
    }

    /// The next token's id.
    fn choose(&self, logits: &[f32], generator: &mut ChaCha8Rng) -> Result<u32, Failure> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let best = logits.iter().position(|&logit| logit == largest);
        let best = best.ok_or_else(|| Failure::Input("the model's logits are not numbers: NaN".to_owned()))?;
        if self.temperature == 0.0 {
            return Ok(best as u32);
        }
        let odds: Vec<f64> = logits
            .iter()
            .map(|logit| (f64::from(logit - largest) / self.temperature).exp())
            .collect();
        let mut drawn = generator.random::<f64>() * odds.iter().sum::<f64>();
        let place = odds.iter().position(|odds| {
            drawn -= odds;
            drawn < 0.0
        });
        // Rounding may leave a last sliver of the odds undrawn.
        Ok(place.unwrap_or(best) as u32)
    }
}

/// Text on a background that grows greener with the share.
fn shaded(text: &str, share: f64) -> String {
    let colour = match share {
        0.0 => return format!("\x1b[2m{text}\x1b[0m"),
        few if few < 1.0 / 3.0 => 22,
        some if some < 2.0 / 3.0 => 28,
        _ => 34,
    };
    format!("\x1b[97;48;5;{colour}m{text}\x1b[0m")
}

fn bold(text: &str) -> String {
    format!("\x1b[1m{text}\x1b[0m")
}
