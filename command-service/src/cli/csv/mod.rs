//! Import and export of CSV with the header `name,status`.
//!
//! | module | holds |
//! |---|---|
//! | `rows` | the rows of a file, checked as a whole |
//! | `import` | rows into the register |
//! | `export` | the replica's slots into a file |

mod rows;
mod import;
mod export;

pub(super) use self::{export::export, import::import};
