//! `obcache allocate`: how many bits every cached token and key channel deserves.

use std::num::NonZero;
use std::path::PathBuf;

use capture::Capture;
use clap::Args;
use obcache_scores::bits::quantiser::Quantiser;
use obd_core::QueryWindow;

use super::failure::Failure;
use super::{folder, progress};
use study::allocate::{self, BitsError, Options};

/// Spreads a budget of bits over the cached tokens and key channels of every KV head; 0 bits evict a token.
///
/// Rounding a number adds noise to it, and the Jacobian of attention gives the cost of a unit of noise in each value and each key channel. Removing
/// a token costs its exact error of eviction. The budget buys bits where they save most, down to eviction (reverse water-filling, RDKV). Values are
/// rounded per token and keys per channel, each group of numbers between its least and its greatest, as in real caches.
///
/// Bits are per number of the cache and count everything that is stored, also the 32 bits of each group's scale and offset: with
/// groups of 32, "2-bit quantisation" takes 3. The command then runs attention again over the stored cache and compares the true error with
/// the predicted one, for this budget and for all from 0 to 16 bits, and with eviction alone and uniform bits.
///
/// FOLDER/index.html is the page, which opens without a network. FOLDER/bits.csv holds the bits of every token and channel,
/// FOLDER/rates.csv every method at every rate, FOLDER/rate-distortion.svg and .png the figure. All weights of a head are held in memory, so captures should
/// have a few thousand tokens at most.
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

    /// Queries whose output counts: all, or the last few (last-32, 32).
    #[arg(long, default_value = "all")]
    window: QueryWindow,

    /// Folder for tables and figure.
    #[arg(long, value_name = "FOLDER", default_value = "allocation")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache allocate captures/text-384.safetensors --bits 2.5
      choose the tokens to evict, and the bits for the others
  obcache allocate my-model.safetensors --bits 4 --group-size 64 --out my-bits
      use larger groups: fewer bits for scales, more noise
  obcache allocate my-model.safetensors --bits 1 --window last-32
      count only the outputs of the last 32 queries";

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
        let allocations = allocate::run(&capture, &options, &progress)?;
        progress.finish_and_clear();
        let files = allocate::files(&allocations, &capture.name(), self.bits)?;
        folder::write(&self.out, files)?;
        let page = self.out.join("index.html");
        Ok(format!("{}\n{}", allocate::summary(&allocations), page.display()))
    }
}

impl From<BitsError> for Failure {
    fn from(error: BitsError) -> Self {
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
