//! Documents with hidden codes: ` The code of WORD is DIGITS. ` in text, one of them asked for at the end.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use reference_model::{ModelError, Tokenizer};

use super::{Document, Task};

/// Seed of the generator (ChaCha8) of words, digits and places.
const SEED: u64 = 0x0bca_c4e6;

/// Codes of a document: one is asked for, the others are there to be confused with.
const CODES: usize = 3;

const WORDS: [&str; 24] = [
    "river", "window", "garden", "orange", "silver", "doctor", "market", "pencil", "bridge", "candle", "forest",
    "island", "jacket", "ladder", "mirror", "needle", "planet", "rocket", "saddle", "ticket", "violin", "walnut",
    "yellow", "basket",
];

/// For each length in tokens and depth in percent, `count` documents over the `haystack`; the same of each task.
///
/// # Errors
/// [`ModelError`] where the tokenizer fails.
pub fn documents(
    task: Task,
    tokenizer: &Tokenizer,
    start: Option<u32>,
    haystack: &[u32],
    (lengths, depths, count): (&[usize], &[u32], usize),
) -> Result<Vec<Document>, ModelError> {
    let mut generator = ChaCha8Rng::seed_from_u64(SEED);
    let mut documents = Vec::new();
    for &length in lengths {
        for &depth in depths {
            for number in 0..count {
                let name = format!("{task}-{length}-{depth}-{number}");
                let needle = Needle::new(tokenizer, &mut generator)?;
                documents.push(needle.document(name, (task, length, depth), (start, haystack), &mut generator));
            }
        }
    }
    Ok(documents)
}

/// The codes of a document, tokenised, the one that is asked for first.
struct Needle {
    codes: Vec<Vec<u32>>,
    question: Vec<u32>,
    answer: Vec<u32>,
}

impl Needle {
    fn new(tokenizer: &Tokenizer, generator: &mut ChaCha8Rng) -> Result<Self, ModelError> {
        let mut words = WORDS;
        words.shuffle(generator);
        let digits: Vec<String> = (0..CODES)
            .map(|_| format!("{:04}", generator.random_range(0..10_000)))
            .collect();
        let code = |(word, digits)| tokenizer.encode_further(&format!(" The code of {word} is {digits}. "));
        let codes = words.iter().zip(&digits).map(code).collect::<Result<_, _>>()?;
        Ok(Self {
            codes,
            question: tokenizer.encode_further(&format!(" The code of {} is", words[0]))?,
            answer: tokenizer.encode_further(&format!(" {}", digits[0]))?,
        })
    }

    fn document(
        self,
        name: String,
        (task, length, depth): (Task, usize, u32),
        (start, haystack): (Option<u32>, &[u32]),
        generator: &mut ChaCha8Rng,
    ) -> Document {
        let others: usize = self.codes.iter().map(Vec::len).sum::<usize>() + self.question.len() + self.answer.len();
        let room = length.saturating_sub(others + start.iter().len()).min(haystack.len());
        let from = generator.random_range(0..=haystack.len() - room);
        let text = &haystack[from..from + room];
        let mut places: Vec<(usize, &Vec<u32>)> = vec![(room * depth as usize / 100, &self.codes[0])];
        places.extend(
            self.codes[1..]
                .iter()
                .map(|code| (generator.random_range(0..=room), code)),
        );
        places.sort_by_key(|place| place.0);
        let (mut prompt, mut read) = (Vec::from_iter(start), 0);
        for (place, code) in places {
            prompt.extend(&text[read..place]);
            prompt.extend(code);
            read = place;
        }
        prompt.extend(&text[read..]);
        // The last token before the answer is always read with the thinned cache, so that all of the answer depends on it.
        let seen = match task {
            Task::RecallUnseen => 0,
            Task::Recall | Task::Text => self.question.len().saturating_sub(1),
        };
        prompt.extend(&self.question[..seen]);
        let mut continuation = self.question[seen..].to_vec();
        let judged_from = continuation.len();
        continuation.extend(&self.answer);
        Document {
            name,
            task,
            length,
            depth: Some(depth),
            prompt,
            continuation,
            judged_from,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reference_model::{Config, Source};

    #[test]
    fn a_code_is_hidden_where_it_is_said_to_be() {
        let source = Source::llama_tiny();
        let tokenizer = Tokenizer::load(&source, &Config::load(&source).unwrap()).unwrap();
        let haystack = vec![u32::from(b'x'); 1000];
        for task in [Task::Recall, Task::RecallUnseen] {
            let made = documents(task, &tokenizer, Some(0), &haystack, (&[256], &[0, 100], 2)).unwrap();
            assert_eq!(made.len(), 4);
            for document in made {
                let whole = [document.prompt.clone(), document.continuation.clone()].concat();
                assert_eq!((whole.len(), whole[0]), (256, 0));
                let text = tokenizer.decode(&whole[1..]).unwrap();
                let answer = &text[text.len() - 5..];
                let asked = text.rfind(" The code of ").unwrap();
                let line = format!("{}. ", &text[asked..]);
                let place = text.find(&line).unwrap();
                assert!(answer[1..].bytes().all(|digit| digit.is_ascii_digit()), "{text}");
                assert_eq!(document.depth == Some(0), place < 62, "{place} {text}");
                let judged = &document.continuation[document.judged_from..];
                assert_eq!(tokenizer.decode(judged).unwrap(), answer);
            }
        }
    }
}
