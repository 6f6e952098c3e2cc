//! The verdict as JUnit XML, for continuous integration: a suite a family, a test an output.

use golden::check::{CaseReport, Judgement};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::judge::Verdict;

/// The whole verdict.
///
/// # Errors
/// Where the serializer fails.
pub fn xml(verdict: &Verdict) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new(format!("golden suite {}", verdict.report.version));
    for line in verdict.report.families() {
        let mut suite = TestSuite::new(line.family.clone());
        for case in verdict.report.cases.iter().filter(|case| case.family == line.family) {
            suite.add_test_cases(tests(case));
        }
        report.add_test_suite(suite);
    }
    if !verdict.faults.is_empty() {
        let mut suite = TestSuite::new("results file");
        suite.add_test_cases(
            verdict
                .faults
                .iter()
                .map(|fault| failing("results", fault, NonSuccessKind::Error)),
        );
        report.add_test_suite(suite);
    }
    report.to_string()
}

fn tests(case: &CaseReport) -> Vec<TestCase> {
    let judged = case.judgements.iter().map(|judgement| test(case, judgement));
    let refused = case
        .refused
        .iter()
        .map(|(tensor, reason)| failing(tensor, reason, NonSuccessKind::Error));
    judged.chain(refused).collect()
}

fn test(case: &CaseReport, judgement: &Judgement) -> TestCase {
    let name = format!("{}/{}", case.id, judgement.output);
    if judgement.passed() {
        return TestCase::new(name, TestCaseStatus::success());
    }
    failing(&name, &judgement.to_string(), NonSuccessKind::Failure)
}

fn failing(name: &str, reason: &str, kind: NonSuccessKind) -> TestCase {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(reason);
    TestCase::new(name, status)
}
