//! `obcache evaluate` and `obcache generate`: what is kept decides what is predicted.

use indicatif::ProgressBar;
use reference_model::{Model, Source, Tokenizer};
use study::evaluate::{EvaluationPlan, Grouping, HELD_OUT, Method, Results, Task, When, run};

use crate::toy::{obcache, stdout};

/// A plan small enough for a test.
fn small(budgets: Vec<u32>, methods: Vec<Method>) -> EvaluationPlan {
    EvaluationPlan {
        model: "llama-tiny".to_owned(),
        tasks: Task::ALL.to_vec(),
        methods,
        budgets,
        groupings: Grouping::ALL.to_vec(),
        when: When::ALL.to_vec(),
        lengths: vec![160],
        depths: vec![50],
        documents: 1,
        text: String::new(),
    }
}

fn evaluated(plan: &EvaluationPlan) -> Results {
    let source = Source::llama_tiny();
    let model = Model::load(&source).unwrap();
    let tokenizer = Tokenizer::load(&source, model.config()).unwrap();
    let mut documents = plan.documents(model.config(), &tokenizer, HELD_OUT).unwrap();
    // What follows is cut short: each token of it costs a step for every method.
    documents
        .iter_mut()
        .for_each(|document| document.continuation.truncate(document.judged_from + 3));
    let out = tempfile::tempdir().unwrap();
    run(&model, plan, &documents, out.path(), &ProgressBar::hidden(), &|| false).unwrap()
}

/// The divergence is a difference of log-probabilities in 32 bits: logits of up to 30, to 6e-8 of their size through four layers,
/// stay within C39's 1e-4.
const SAME_PREDICTIONS: f64 = 1e-4;

#[test]
fn c42_a_budget_of_everything_changes_no_prediction() {
    let methods = [
        "full",
        "random",
        "streaming-llm",
        "greedy",
        "h2o",
        "tova+joint",
        "snapkv+removal",
    ];
    let results = evaluated(&small(vec![100], methods.map(|name| name.parse().unwrap()).to_vec()));
    assert!(results.rows.len() > 50);
    for row in results.rows.iter().filter(|row| row.when == When::Prefill) {
        assert!(row.divergence < SAME_PREDICTIONS && row.agreement == 1.0, "{row:?}");
    }
}

#[test]
fn c42_what_is_forgotten_is_missed() {
    let results = evaluated(&small(vec![3], vec!["random".parse().unwrap()]));
    for row in &results.rows {
        assert!(row.divergence > 100.0 * SAME_PREDICTIONS, "{row:?}");
    }
}

#[test]
fn an_evaluation_goes_on_where_it_stopped_and_refuses_another_plan() {
    let folder = tempfile::tempdir().unwrap();
    let evaluate = |budget: &str| {
        let mut command = obcache();
        command.args([
            "evaluate",
            "--tasks",
            "recall",
            "--scores",
            "full,h2o,h2o+joint",
            "--budgets",
            budget,
        ]);
        command.args([
            "--groups",
            "kv-sum",
            "--lengths",
            "160",
            "--depths",
            "50",
            "--documents",
            "2",
            "--out",
        ]);
        command.arg(folder.path());
        command
    };
    let first = stdout(&mut evaluate("10"));
    assert!(
        first.contains("h2o+joint against h2o") && first.contains("index.html"),
        "{first}"
    );
    let rows = || std::fs::read_to_string(folder.path().join("rows.csv")).unwrap();
    let whole = rows();
    let part = folder.path().join("parts/document-recall-160-50-1.json");
    std::fs::write(&part, "{").unwrap();
    assert_eq!(stdout(&mut evaluate("10")), first);
    assert_eq!(rows(), whole, "a damaged part is made again");
    let refused = evaluate("20").assert().code(2).get_output().stderr.clone();
    assert!(String::from_utf8(refused).unwrap().contains("other settings"));
}

#[test]
fn a_text_is_written_on_from_a_thinned_cache() {
    let generate = |arguments: &[&str]| {
        let prompt = [
            "generate",
            "--prompt",
            " The code of river is 5260. We go on. The code of river is",
            "--tokens",
            "5",
        ];
        stdout(obcache().args(prompt).args(arguments))
    };
    assert!(generate(&["--score", "full"]).contains("\x1b[1m 5260\x1b[0m"));
    let thinned = generate(&["--budget", "0.2"]);
    assert!(thinned.contains("kept by joint at 11 tokens a head"), "{thinned}");
    let drawn = ["--temperature", "2", "--seed", "3"];
    assert_eq!(generate(&drawn), generate(&drawn));
}
