//! Reads the steps of a migration that runs outside a transaction.
//!
//! Its first line is `--! outside a transaction`. Each step begins with a line of its own:
//!
//! | mark | the step |
//! |---|---|
//! | `--! step` | statements in one transaction; or one `CREATE INDEX CONCURRENTLY IF NOT EXISTS` |
//! | `--! batches` | one statement, run again and again, each time in a transaction of its own |
//!
//! An interrupted migration runs all its steps again, so each step must be able to run twice.
//! A statement of batches gets what the last batch returned as `$1`, a text, which is empty at first. It returns one
//! text, the last key of this batch, and null when nothing is left.

use super::error::BadSteps;

const OUTSIDE: &str = "--! outside a transaction";
const MARK: &str = "--!";
const CONCURRENTLY: &str = " CONCURRENTLY";

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MigrationStep {
    /// Statements in one transaction.
    Statements(String),
    /// An index that is built beside reads and writes.
    Index(NewIndex),
    /// A statement for one batch of rows.
    Batches(String),
}

/// An index to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewIndex {
    /// Its name, without a schema.
    pub(super) name: String,
    /// The statement that builds it beside reads and writes.
    pub(super) sql: String,
}

impl NewIndex {
    /// The statement that builds the index at once, and locks its table meanwhile.
    pub(super) fn at_once(&self) -> String {
        self.sql.replacen(CONCURRENTLY, "", 1)
    }
}

/// The steps of a migration; `None` for one that runs in one transaction.
///
/// # Errors
/// [`BadSteps`].
pub(super) fn steps(sql: &str) -> Result<Option<Vec<MigrationStep>>, BadSteps> {
    if sql.lines().next().map(str::trim_end) != Some(OUTSIDE) {
        return match without_comments(sql) {
            text if text.contains(CONCURRENTLY) => Err(BadSteps::Concurrently),
            _ => Ok(None),
        };
    }
    let mut steps: Vec<(bool, String)> = Vec::new();
    for line in sql.lines().skip(1) {
        match (line.trim_end(), steps.last_mut()) {
            ("--! step", _) => steps.push((false, String::new())),
            ("--! batches", _) => steps.push((true, String::new())),
            (mark, _) if mark.starts_with(MARK) => return Err(BadSteps::NoMark(mark.to_owned())),
            (line, Some((_, step))) => {
                step.push_str(line);
                step.push('\n');
            }
            (comment, None) if comment.is_empty() || comment.starts_with("--") => {}
            (stray, None) => return Err(BadSteps::BeforeSteps(stray.to_owned())),
        }
    }
    steps.into_iter().map(|(in_batches, sql)| step(in_batches, sql)).collect::<Result<_, _>>().map(Some)
}

fn step(in_batches: bool, sql: String) -> Result<MigrationStep, BadSteps> {
    let text = without_comments(&sql);
    if in_batches {
        return Ok(MigrationStep::Batches(sql));
    }
    if !text.contains(CONCURRENTLY) {
        return Ok(MigrationStep::Statements(sql));
    }
    let words: Vec<&str> = text.split_whitespace().take_while(|word| *word != "ON").collect();
    let name = match words[..] {
        ["CREATE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", name]
        | ["CREATE", "UNIQUE", "INDEX", "CONCURRENTLY", "IF", "NOT", "EXISTS", name] => name.to_owned(),
        _ => return Err(BadSteps::Index),
    };
    // A second statement would put both into one transaction.
    let is_alone = text.trim_end().trim_end_matches(';').find(';').is_none();
    if is_alone { Ok(MigrationStep::Index(NewIndex { name, sql })) } else { Err(BadSteps::Index) }
}

/// Only whole lines are comments here.
fn without_comments(sql: &str) -> String {
    let code = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    code.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_without_the_mark_runs_in_one_transaction() {
        assert_eq!(steps("CREATE TABLE a ();"), Ok(None));
        assert_eq!(steps("-- Not CREATE INDEX CONCURRENTLY, as the table is small.\nSELECT 1"), Ok(None));
    }

    #[test]
    fn each_step_has_its_kind_and_its_text() {
        let sql = "--! outside a transaction\n-- Why.\n\n--! step\nSELECT 1;\n--! step\n\
                   CREATE INDEX CONCURRENTLY IF NOT EXISTS one\n    ON many (a);\n--! batches\nSELECT $1\n";

        let index = "CREATE INDEX CONCURRENTLY IF NOT EXISTS one\n    ON many (a);\n".to_owned();
        let expected = vec![
            MigrationStep::Statements("SELECT 1;\n".to_owned()),
            MigrationStep::Index(NewIndex { name: "one".to_owned(), sql: index }),
            MigrationStep::Batches("SELECT $1\n".to_owned()),
        ];
        assert_eq!(steps(sql), Ok(Some(expected)));
    }

    #[test]
    fn an_index_of_a_new_table_is_built_at_once() {
        let index = NewIndex {
            name: "one".to_owned(),
            sql: "CREATE INDEX CONCURRENTLY IF NOT EXISTS one ON many (a)".to_owned(),
        };

        assert_eq!(index.at_once(), "CREATE INDEX IF NOT EXISTS one ON many (a)");
    }

    #[test]
    fn what_is_no_step_is_an_error() {
        let build = "CREATE INDEX CONCURRENTLY IF NOT EXISTS one ON many (a);";
        let cases = [
            (build.to_owned(), BadSteps::Concurrently, "no mark at the top"),
            (format!("{OUTSIDE}\n{build}"), BadSteps::BeforeSteps(build.to_owned()), "no step"),
            (format!("{OUTSIDE}\n--! steps"), BadSteps::NoMark("--! steps".to_owned()), "a wrong mark"),
            (format!("{OUTSIDE}\n--! step\n{build} SELECT 1;"), BadSteps::Index, "two statements"),
            (
                format!("{OUTSIDE}\n--! step\nCREATE INDEX CONCURRENTLY one ON many (a)"),
                BadSteps::Index,
                "fails where the index exists",
            ),
        ];
        for (sql, expected, reason) in cases {
            assert_eq!(steps(&sql), Err(expected), "{reason}");
        }
    }
}
