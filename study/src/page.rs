//! A page of findings, figures and tables: one file that opens without a network.

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use plots::Figure;
use serde::Serialize;

use crate::table::Table;

/// What a page shows.
pub(crate) struct Page<'a> {
    /// The heading.
    pub title: String,
    /// What was done, as HTML: a constant of ours, never text of a user.
    pub introduction: &'static str,
    /// Sentences; without them there is no such section.
    pub findings: Vec<String>,
    /// Drawn in the page, each with its caption.
    pub figures: Vec<&'a Figure>,
    /// Folded unless open.
    pub tables: Vec<PageTable>,
    /// Names of the files beside the page that hold all numbers.
    pub files: &'a [&'a str],
}

/// A table on a page.
#[derive(Serialize)]
pub(crate) struct PageTable {
    /// What it holds.
    pub title: String,
    /// Whether it is unfolded at first.
    pub open: bool,
    /// Headings and rows.
    #[serde(flatten)]
    pub table: Table,
}

impl PageTable {
    /// A table that is unfolded.
    pub fn open(title: String, table: Table) -> Self {
        Self {
            title,
            open: true,
            table,
        }
    }
}

/// All that the template takes.
#[derive(Serialize)]
struct Filled<'a> {
    title: &'a str,
    introduction: &'a str,
    findings: &'a [String],
    figures: Vec<Drawn<'a>>,
    tables: &'a [PageTable],
    files: &'a [&'a str],
    version: &'static str,
}

#[derive(Serialize)]
struct Drawn<'a> {
    caption: &'a str,
    svg: &'a str,
}

fn drawn(figure: &Figure) -> Drawn<'_> {
    Drawn {
        caption: figure.caption(),
        svg: figure.svg(),
    }
}

impl Page<'_> {
    /// The page as HTML.
    ///
    /// # Errors
    /// [`minijinja::Error`] where the template fails.
    pub fn render(&self) -> Result<String, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        environment.add_template("page", include_str!("page.html"))?;
        let filled = Filled {
            title: &self.title,
            introduction: self.introduction,
            findings: &self.findings,
            figures: self.figures.iter().map(|figure| drawn(figure)).collect(),
            tables: &self.tables,
            files: self.files,
            version: env!("CARGO_PKG_VERSION"),
        };
        environment.get_template("page")?.render(Serde(&filled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped_and_every_part_is_there() {
        let rows = vec![vec!["<value>".to_owned(), "0.25".to_owned()]];
        let table = |title: &str, open| PageTable {
            title: title.to_owned(),
            open,
            table: Table::new(["kept", "5 %"], rows.clone()),
        };
        let page = Page {
            title: "a < b".to_owned(),
            introduction: "An <em>introduction</em>.",
            findings: Vec::new(),
            figures: Vec::new(),
            tables: vec![table("first", true), table("second", false)],
            files: &["rows.csv", "bits.csv"],
        };
        let text = page.render().unwrap();
        for part in [
            "<h1>a &lt; b</h1>",
            "<em>introduction</em>",
            "<details open><summary>first",
            "<details><summary>second",
            "<th>kept</th><th>5 %</th>",
            "<td>&lt;value&gt;</td><td>0.25</td>",
            r#"<a href="rows.csv">rows.csv</a>, <a href="bits.csv">"#,
        ] {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
        assert!(!text.contains("Findings") && !text.contains("http"));
        let findings = vec!["found".to_owned()];
        assert!(Page { findings, ..page }.render().unwrap().contains("<li>found</li>"));
    }
}
