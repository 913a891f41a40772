//! Every query on the replica for users. The database role of these connections can only read.
//!
//! A handler asks [`replica::Replica`]. A reader takes all questions that wait, and answers them by one statement for each
//! kind; pages with a filter have searchers of their own.
//!
//! | module | holds |
//! |---|---|
//! | [`status`] | how far the replica has come, in the snapshot of the query |
//! | [`cursor`] | a place in the order of creation |
//! | `read_error` | why a read failed |
//! | [`silence`] | whether the replica is silent, so that reads are refused at once |
//! | `asked` | a read that waits for its answer |
//! | `last_answers` | answers that hold while nothing changes |
//! | [`one`] | one slot |
//! | [`page`] | a page as its answer |
//! | [`list`] | a page of slots in creation order |
//! | `search_statements` | the statements of pages with a filter |
//! | `filtered` | a page of the slots that pass a filter |
//! | [`summary`] | how many slots have each status |
//! | [`settled`] | what the replica has done with a write |
//! | `question` | what readers answer, in groups |
//! | `readers` | answers all that waits together |
//! | `searches` | pages with a filter that wait |
//! | `searchers` | answers pages with a filter |
//! | [`replica`] | how handlers ask |

pub mod status;
pub mod cursor;
mod read_error;
pub mod silence;
mod asked;
mod last_answers;
pub mod one;
pub mod page;
pub mod list;
mod search_statements;
mod filtered;
pub mod summary;
pub mod settled;
mod question;
mod readers;
mod searches;
mod searchers;
pub mod replica;

/// Every statement that reads the replica. A test prepares them against the schema.
pub const STATEMENTS: [&str; 10] = [
    last_answers::SNAPSHOT,
    list::PAGES,
    search_statements::PAGE_BY_STATUS,
    search_statements::PAGE_BY_NAME,
    search_statements::PAGE_BY_BOTH,
    search_statements::PAGE_BY_SHORT_NAME,
    search_statements::PAGE_BY_SHORT_BOTH,
    one::BY_UUID,
    summary::BY_STATUS,
    settled::SETTLED,
];

/// The statements of searches with the number of their parameters. A test looks at their plans.
pub const SEARCHES: [(&str, usize); 5] = [
    (search_statements::PAGE_BY_STATUS, 6),
    (search_statements::PAGE_BY_NAME, 6),
    (search_statements::PAGE_BY_BOTH, 7),
    (search_statements::PAGE_BY_SHORT_NAME, 6),
    (search_statements::PAGE_BY_SHORT_BOTH, 7),
];

/// The settings of their session that bear on the plans.
pub const SEARCH_OPTIONS: &str = search_statements::search_options!();
