//! Reads the domain's types from columns. A value that breaks the type's rules is an error of the row. Only a
//! name is read unchecked, so that a manual edit shows as it is stored.

use std::error::Error;

use tokio_postgres::types::{FromSql, Type, accepts};

use crate::{
    messages::event::EventType,
    position::Position,
    slot::{Changed, SlotName, SlotStatus, Version},
};

type BoxedError = Box<dyn Error + Sync + Send>;

macro_rules! read_checked {
    ($domain:ty, $column:ty, ($($sql_type:ident),+), $parse:expr, $problem:literal) => {
        impl<'a> FromSql<'a> for $domain {
            fn from_sql(sql_type: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
                $parse(<$column>::from_sql(sql_type, raw)?).ok_or_else(|| $problem.into())
            }

            accepts!($($sql_type),+);
        }
    };
}

read_checked!(Position, i64, (INT8), Position::new, "not a position");
read_checked!(Version, i64, (INT8), Version::new, "not a version");
read_checked!(SlotStatus, &str, (TEXT), SlotStatus::parse, "not a status");
read_checked!(EventType, &str, (TEXT), EventType::parse, "not a type of event");
read_checked!(Changed, &str, (TEXT), Changed::parse, "not a list of fields");
read_checked!(SlotName, String, (TEXT), |text| Some(SlotName::as_stored(text)), "not a name");
