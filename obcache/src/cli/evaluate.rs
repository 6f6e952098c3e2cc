//! `obcache evaluate`: what scores are worth in accuracy.

use std::path::PathBuf;

use clap::Args;
use sha2::{Digest, Sha256};

use super::checkpoint::CheckpointArguments;
use super::failure::Failure;
use super::{folder, interrupt, progress};
use study::evaluate::report::{findings, render};
use study::evaluate::{EvaluateError, Evaluated, EvaluationPlan, Grouping, HELD_OUT, Method, Task, When, run};
use study::output::prepare_folder;

/// Lets a model answer with a cache reduced by each score, and says which score costs least accuracy.
///
/// It measures recall of hidden codes by depth and length, perplexity and divergence on text, and agreement of the next token. It evicts once
/// after the prefill and at every decoded token, per query head and per KV head. Paired tests compare each heuristic with the same
/// heuristic under an output-aware score. Finished documents are kept in OUT/parts: after a Ctrl-C the same command goes on from them.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    checkpoint: CheckpointArguments,

    /// Tasks: recall, recall-unseen, text (default: all).
    #[arg(long, value_delimiter = ',')]
    tasks: Vec<Task>,

    /// Ways to choose the tokens that stay, such as h2o,h2o+joint,greedy (default: all).
    #[arg(long, value_delimiter = ',')]
    scores: Vec<Method>,

    /// Percentages of the prompt that stay.
    #[arg(long, value_delimiter = ',', default_value = "2,5,10,20,50", value_parser = clap::value_parser!(u32).range(1..=100))]
    budgets: Vec<u32>,

    /// Heads that share a choice: query-head, kv-sum, kv-max.
    #[arg(long, value_delimiter = ',', default_value = "query-head,kv-sum,kv-max")]
    groups: Vec<Grouping>,

    /// When tokens are evicted: prefill, once after the prompt; decode, also after every decoded token (task text).
    #[arg(long, value_delimiter = ',', default_value = "prefill,decode")]
    when: Vec<When>,

    /// Lengths of the documents in tokens.
    #[arg(long, value_delimiter = ',', default_value = "256,512")]
    lengths: Vec<usize>,

    /// Depths of the hidden code in percent.
    #[arg(long, value_delimiter = ',', default_value = "10,30,50,70,90", value_parser = clap::value_parser!(u32).range(0..=100))]
    depths: Vec<u32>,

    /// Documents for each length and depth, and twice as many texts.
    #[arg(long, default_value = "4")]
    documents: usize,

    /// Text in which to hide codes and to continue, UTF-8 (default: this project's documentation).
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,

    /// Folder for the report.
    #[arg(long, value_name = "FOLDER", default_value = "evaluation")]
    out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  obcache evaluate
      run the embedded llama-tiny under every score, write evaluation/index.html
  obcache evaluate --model Qwen3-0.6B --text book.txt --lengths 1024,4096 --scores h2o,h2o+joint,snapkv,snapkv+joint
      compare two pairs on a model and a text of your own
  obcache evaluate --tasks recall --budgets 5,10 --groups kv-sum
      test recall alone, evicting as a real GQA cache must";

/// Tokens of the shortest document: codes, question and answer must fit.
const SHORTEST: usize = 160;

impl Arguments {
    pub fn run(&self) -> Result<String, Failure> {
        let out = self.out.display();
        prepare_folder(&self.out)
            .map_err(|error| Failure::Input(format!("{out}: {error}, expected a folder to write to")))?;
        let text = match &self.text {
            Some(path) => {
                std::fs::read_to_string(path).map_err(|error| Failure::Input(format!("{}: {error}", path.display())))?
            }
            None => HELD_OUT.to_owned(),
        };
        let checkpoint = self.checkpoint.load()?;
        let model = &checkpoint.model;
        self.check(model.config().max_positions)?;
        let plan = self.plan(checkpoint.name.clone(), &text);
        let documents = plan.documents(model.config(), &checkpoint.tokenizer, &text)?;
        if documents.is_empty() {
            return Err(Failure::Input(
                "no documents: expected --documents of at least 1 and a text of some length".to_owned(),
            ));
        }
        checkpoint.check_windows(plan.longest_evicting(&documents))?;
        let interrupted = interrupt::watch()?;
        let progress = progress::bar("{pos} of {len} documents");
        let results = run(model, &plan, &documents, &self.out, &progress, &interrupted);
        progress.finish_and_clear();
        let results = results?;
        let evaluated = Evaluated::new(&results);
        folder::write(&self.out, render(&plan, &results, &evaluated)?)?;
        Ok(format!(
            "{}\n\n{}",
            findings(&evaluated).join("\n"),
            self.out.join("index.html").display()
        ))
    }

    fn check(&self, limit: usize) -> Result<(), Failure> {
        if !self.when.contains(&When::Prefill) && self.tasks != [Task::Text] {
            return Err(Failure::Input(
                "--when decode: expected --tasks text, for the recall tasks evict after the prefill alone".to_owned(),
            ));
        }
        match self.lengths.iter().find(|&&length| length < SHORTEST || length > limit) {
            Some(length) => Err(Failure::Input(format!(
                "--lengths: {length}, expected from {SHORTEST} to {limit} tokens (max_position_embeddings of config.json)"
            ))),
            None => Ok(()),
        }
    }

    fn plan(&self, model: String, text: &str) -> EvaluationPlan {
        EvaluationPlan {
            model,
            tasks: if self.tasks.is_empty() {
                Task::ALL.to_vec()
            } else {
                self.tasks.clone()
            },
            methods: if self.scores.is_empty() {
                Method::all()
            } else {
                self.scores.clone()
            },
            budgets: self.budgets.clone(),
            groupings: self.groups.clone(),
            when: self.when.clone(),
            lengths: self.lengths.clone(),
            depths: self.depths.clone(),
            documents: self.documents,
            text: Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        let reason = error.to_string();
        match error {
            EvaluateError::Interrupted => Self::Interrupted(reason),
            EvaluateError::File { .. } | EvaluateError::Json(_) => Self::Ours(reason),
            _ => Self::Input(reason),
        }
    }
}
