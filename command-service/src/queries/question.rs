//! The questions that readers answer, and the groups that they form.

use uuid::Uuid;

use super::{
    asked::{Asked, refuse_all},
    list::{Page, PageQuery},
    read_error::ReadError,
    settled::Settled,
    summary::Summary,
};
use crate::register::{receipt::WriteReceipt, record::SlotRecord};

/// Any question that readers answer.
#[derive(Debug)]
pub(super) enum ReadQuestion {
    Page(Asked<PageQuery, Page>),
    Slot(Asked<Uuid, Option<SlotRecord>>),
    Summary(Asked<(), Summary>),
    Settled(Asked<WriteReceipt, Settled>),
}

/// The most questions that one group holds.
const GROUP_MAX: usize = 128;

/// The most rows that the pages of one group may have, except that the first page always fits.
const GROUP_MAX_ROWS: usize = 8_192;

/// Questions that are answered together, by kind.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) pages: Vec<Asked<PageQuery, Page>>,
    pub(super) slots: Vec<Asked<Uuid, Option<SlotRecord>>>,
    pub(super) summaries: Vec<Asked<(), Summary>>,
    pub(super) settled: Vec<Asked<WriteReceipt, Settled>>,
    questions: usize,
    rows: usize,
}

impl Group {
    /// Questions of every kind.
    pub(super) fn of(
        pages: Vec<Asked<PageQuery, Page>>,
        slots: Vec<Asked<Uuid, Option<SlotRecord>>>,
        summaries: Vec<Asked<(), Summary>>,
        settled: Vec<Asked<WriteReceipt, Settled>>,
    ) -> Self {
        let questions = pages.len() + slots.len() + summaries.len() + settled.len();
        Self { pages, slots, summaries, settled, questions, rows: 0 }
    }

    /// Whether nothing is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.questions == 0
    }

    /// Adds a question.
    pub(super) fn add(&mut self, question: ReadQuestion) {
        self.questions += 1;
        match question {
            ReadQuestion::Page(asked) => {
                self.rows += usize::from(asked.query.limit);
                self.pages.push(asked);
            }
            ReadQuestion::Slot(asked) => self.slots.push(asked),
            ReadQuestion::Summary(asked) => self.summaries.push(asked),
            ReadQuestion::Settled(asked) => self.settled.push(asked),
        }
    }

    /// Whether no further question may join.
    pub(super) fn is_full(&self) -> bool {
        self.questions >= GROUP_MAX || self.rows >= GROUP_MAX_ROWS
    }

    /// Gives every caller this answer.
    pub(super) fn refuse(self, error: &ReadError) {
        let Self { pages, slots, summaries, settled, .. } = self;
        refuse_all(pages, error);
        refuse_all(slots, error);
        refuse_all(summaries, error);
        refuse_all(settled, error);
    }
}
