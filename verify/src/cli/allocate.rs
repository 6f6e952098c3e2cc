//! `obcache allocate`: how many bits every cached token and key channel deserves.

use std::num::NonZero;
use std::path::PathBuf;

use capture::Capture;
use clap::Args;
use obcache_scores::quantisation::quantiser::Quantiser;
use obd_core::QueryWindow;

use super::failure::Failure;
use super::{folder, progress};
use crate::allocation::{self, AllocationError, Options};
use crate::scoring::window;

/// Spreads a budget of bits over the cached tokens and key channels of every KV head; 0 bits evict a token.
///
/// Rounding a number adds noise to it, and the Jacobian of attention says what a unit of noise costs the output: a token's
/// value the sum of its squared weights, a key channel what its queries make of it. Removing a token costs its exact error of
/// eviction. The budget buys bits where they save most, down to eviction (reverse water-filling, RDKV); values are rounded per
/// token, keys per channel, each group of numbers between its least and its greatest, as caches are in practice.
///
/// Bits are per number of the cache and count everything that is stored, also the 32 bits of each group's scale and offset: with
/// groups of 32, "2-bit quantisation" takes 3. Then attention is run again over the stored cache, and its true error is set
/// beside the predicted one, for this budget and for all from 0 to 16 bits, and beside eviction alone and uniform bits.
///
/// FOLDER/index.html is the page, which opens without a network, FOLDER/bits.csv holds the bits of every token and channel,
/// FOLDER/rates.csv every method at every rate, FOLDER/rate-distortion.svg and .png the figure. All of a head's weights are held in memory: made for captures of a few thousand tokens.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// A capture, .safetensors or .npz.
    capture: PathBuf,

    /// Bits per number of the cache, from 0 to 16.
    #[arg(long, value_name = "BITS", value_parser = bits)]
    bits: f64,

    /// Numbers that share a scale and an offset; 32 and 64 are usual.
    #[arg(long, value_name = "COUNT", default_value = "32")]
    group_size: NonZero<usize>,

    /// Queries whose output counts: all, or the last so many (last-32, 32).
    #[arg(long, default_value = "all", value_parser = window::parse)]
    window: QueryWindow,

    /// Folder that tables and figure are written to.
    #[arg(long, value_name = "FOLDER", default_value = "allocation")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache allocate captures/text-384.safetensors --bits 2.5
      which tokens to evict, and how many bits for the others
  obcache allocate my-model.safetensors --bits 4 --group-size 64 --out my-bits
      larger groups: less spent on scales, more noise
  obcache allocate my-model.safetensors --bits 1 --window last-32
      only what the last 32 queries see counts";

fn bits(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(bits) if (0.0..=16.0).contains(&bits) => Ok(bits),
        _ => Err("expected a number from 0 to 16".to_owned()),
    }
}

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let capture = Capture::read(&self.capture)?;
        folder::prepare(&self.out)?;
        let options = Options {
            bits: self.bits,
            quantiser: Quantiser {
                group_size: self.group_size,
            },
            window: self.window,
        };
        let progress = progress::bar("{pos} of {len} KV heads");
        let allocations = allocation::run(&capture, &options, &progress)?;
        progress.finish_and_clear();
        let files = allocation::files(&allocations, &capture.name(), self.bits)?;
        folder::write(&self.out, files)?;
        let page = self.out.join("index.html");
        Ok(format!("{}\n{}", allocation::summary(&allocations), page.display()))
    }
}

impl From<AllocationError> for Failure {
    fn from(error: AllocationError) -> Self {
        Self::Input(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_lie_between_nothing_and_sixteen() {
        assert_eq!((bits("0"), bits("2.5"), bits("16")), (Ok(0.0), Ok(2.5), Ok(16.0)));
        for refused in ["-1", "16.1", "NaN", "inf", "two"] {
            assert!(bits(refused).is_err(), "{refused}");
        }
    }
}
