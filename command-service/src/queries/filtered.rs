//! A page of the slots that pass a filter: which statement finds it, and with what.

use shared::{
    postgres::{Param, Session},
    slot::SlotStatus,
};
use tokio_postgres::{Error, Statement};

use super::{
    cursor::Cursor,
    list::{PageQuery, split},
    page::Page,
    read_error::BadRow,
    search_statements::{PAGE_BY_BOTH, PAGE_BY_NAME, PAGE_BY_SHORT_BOTH, PAGE_BY_SHORT_NAME, PAGE_BY_STATUS},
    status::{HandedBack, SharedStatus},
};

/// The statements of a search session.
pub(super) struct Searching {
    by_status: Statement,
    by_name: Statement,
    by_both: Statement,
    by_short_name: Statement,
    by_short_both: Statement,
}

impl Searching {
    /// Prepares the statements.
    ///
    /// # Errors
    /// The replica refused, or the connection was lost.
    pub(super) async fn prepare(session: &Session) -> Result<Self, Error> {
        let (by_status, by_name, by_both, by_short_name, by_short_both) = tokio::try_join!(
            session.prepare(PAGE_BY_STATUS),
            session.prepare(PAGE_BY_NAME),
            session.prepare(PAGE_BY_BOTH),
            session.prepare(PAGE_BY_SHORT_NAME),
            session.prepare(PAGE_BY_SHORT_BOTH),
        )?;
        Ok(Self { by_status, by_name, by_both, by_short_name, by_short_both })
    }

    /// Runs the statement of a page with a filter.
    ///
    /// # Errors
    /// The statement has no answer.
    pub(super) async fn search(
        &self,
        session: &Session,
        query: &PageQuery,
        handed_back: &HandedBack,
    ) -> Result<(SharedStatus, Page), BadRow> {
        let (status, pattern) = (query.filter.status.map(SlotStatus::as_str), query.filter.name_pattern());
        let rows_max = query.rows_max();
        let Cursor { created_at, uuid } = &query.cursor;
        let mut params: Vec<Param<'_>> =
            vec![&handed_back.firsts, &handed_back.lasts, created_at, uuid, &rows_max];
        params.extend(pattern.as_ref().map(|pattern| pattern as Param<'_>));
        params.extend(status.as_ref().map(|status| status as Param<'_>));
        let is_indexed = query.filter.name_contains.as_deref().is_some_and(has_trigram);
        let statement = match (&pattern, &status) {
            (None, _) => &self.by_status,
            (Some(_), None) if is_indexed => &self.by_name,
            (Some(_), Some(_)) if is_indexed => &self.by_both,
            (Some(_), None) => &self.by_short_name,
            (Some(_), Some(_)) => &self.by_short_both,
        };
        let (status, mut pages) = split(&session.query(statement, &params).await?, &[query.limit])?;
        Ok((status, pages.remove(0)))
    }
}

/// Whether every name that contains `text` has a trigram that the index finds it by. The index knows words of letters
/// and digits: a word's trigrams count two blanks before it and one behind it. At an end of `text` a word may go on.
fn has_trigram(text: &str) -> bool {
    let words: Vec<&str> = text.split(|one: char| !one.is_alphanumeric()).collect();
    let last = words.len() - 1;
    words.iter().enumerate().any(|(number, word)| {
        let before = if number == 0 { 0 } else { 2 };
        let behind = usize::from(number != last);
        !word.is_empty() && before + word.chars().count() + behind >= 3
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_a_trigram_when_three_letters_or_ends_of_words_are_known() {
        let cases = [
            ("bay", true, "three letters"),
            ("ba", false, "the word may go on at both ends"),
            ("é1ß", true, "letters of any language, and digits"),
            ("a b", true, "the second word begins here"),
            ("ay ", true, "the word ends here"),
            ("a-", false, "one letter before the end of a word"),
            ("-a", true, "a word of at least one letter begins here"),
            ("%_-", false, "no letters"),
            ("a", false, "one letter"),
        ];
        for (text, expected, reason) in cases {
            assert_eq!(has_trigram(text), expected, "`{text}`: {reason}");
        }
    }
}
