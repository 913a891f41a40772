//! Creates and drops the schema of the new copy.

use shared::{
    postgres::{
        DatabaseUrl,
        migration::{Tables, migrate},
    },
    process::cause::chain,
};
use tokio_postgres::Row;

use super::{
    director::{Director, MARK, MARKED, REPLACED, SCHEMA},
    fault::StepError,
};
use crate::projection;

/// Whether replica and copy have the same migrations; false also if the replica has none.
pub(super) const IS_MIGRATED: &str = "
    SELECT count(*) = 0 AS is_migrated
    FROM (SELECT version, checksum FROM public.refinery_schema_history) AS old
    FULL JOIN (SELECT version, checksum FROM rebuild.refinery_schema_history) AS copy USING (version, checksum)
    WHERE old IS NULL OR copy IS NULL";

pub(super) const IS_THERE: &str =
    "SELECT to_regclass('public.refinery_schema_history') IS NOT NULL AS is_there";

/// Whether the replica has exactly the migrations of these versions.
pub(super) const HAS_VERSIONS: &str = "
    SELECT array_agg(version ORDER BY version) IS NOT DISTINCT FROM $1::integer[] AS has_versions
    FROM public.refinery_schema_history";

pub(super) const ADDITIONS: &str = include_str!("sql/additions.sql");

const FIT: &str = include_str!("sql/fit.sql");

impl Director {
    /// Creates the empty copy: the replica's tables and what was added to them by hand. First removes what an earlier
    /// rebuild left.
    ///
    /// # Errors
    /// [`StepError`]; a copy that is partly built is useless.
    pub async fn build(&self, replica: &DatabaseUrl) -> Result<(), StepError> {
        if !self.session.query_one(IS_THERE, &[]).await?.try_get::<_, bool>("is_there")? {
            return Err(StepError::NotMigrated);
        }
        // Before the copy's own migrations, which would wait for the end of one that is running.
        self.must_have_all_versions().await?;
        self.clear().await?;
        let mark = self.mark();
        let create = format!("BEGIN; CREATE SCHEMA rebuild; COMMENT ON SCHEMA rebuild IS '{mark}'; COMMIT");
        self.session.batch_execute(&create).await?;
        let copy = replica.in_schema(SCHEMA);
        migrate(&copy, projection::migrations(), Tables::New, &|line| tracing::info!("{line}")).await?;
        self.must_be_migrated().await?;
        self.session.batch_execute(FIT).await?;
        self.carry_over().await
    }

    /// Removes what a rebuild left. A schema of the same name without a rebuild's mark stays.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Stranger`] for such a schema.
    pub async fn clear(&self) -> Result<(), StepError> {
        for schema in [REPLACED, SCHEMA] {
            let Some(row) = self.session.query_opt(MARKED, &[&schema]).await? else { continue };
            if !row.try_get::<_, &str>("mark")?.starts_with(MARK) {
                return Err(StepError::Stranger(schema));
            }
            self.session.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await?;
        }
        Ok(())
    }

    /// Adds the replica's own indexes, constraints and triggers to the copy's tables. Skips those that the copy
    /// already has.
    ///
    /// # Errors
    /// [`StepError`]; [`StepError::Additions`] names what cannot be added to another table.
    pub async fn carry_over(&self) -> Result<(), StepError> {
        let additions = self.additions().await?;
        let lost: Vec<&str> =
            additions.iter().filter(|one| one.statement.is_none()).map(|one| one.name.as_str()).collect();
        if !lost.is_empty() {
            return Err(StepError::Additions(lost.join(", ")));
        }
        for statement in additions.iter().filter_map(|one| one.statement.as_deref()) {
            self.session.batch_execute(statement).await?;
        }
        Ok(())
    }

    /// Vacuums and analyzes the copy, so that the first reads after the swap are planned well. A failure is ignored:
    /// reads are only slower.
    pub async fn count_rows(&self) {
        // Tables by name: a user that only owns these may not vacuum the whole database.
        for table in ["parking_slots", "parking_slot_tombstones"] {
            if let Err(error) = self.session.batch_execute(&format!("VACUUM (ANALYZE) rebuild.{table}")).await
            {
                tracing::debug!(table, error = chain(&error), "not analyzed");
            }
        }
    }

    async fn must_have_all_versions(&self) -> Result<(), StepError> {
        let migrations = projection::migrations();
        let mut versions: Vec<i32> =
            migrations.get_migrations().iter().map(|migration| migration.version()).collect();
        versions.sort_unstable();
        match self.session.query_one(HAS_VERSIONS, &[&versions]).await?.try_get("has_versions")? {
            true => Ok(()),
            false => Err(StepError::NotMigrated),
        }
    }

    pub(super) async fn must_be_migrated(&self) -> Result<(), StepError> {
        match self.session.query_one(IS_MIGRATED, &[]).await?.try_get("is_migrated")? {
            true => Ok(()),
            false => Err(StepError::NotMigrated),
        }
    }

    pub(super) async fn additions(&self) -> Result<Vec<Addition>, StepError> {
        let rows = self.session.query(ADDITIONS, &[]).await?;
        Ok(rows.iter().map(Addition::of).collect::<Result<_, _>>()?)
    }
}

/// An index, constraint or trigger that the copy lacks.
#[derive(Debug)]
pub(super) struct Addition {
    pub(super) name: String,
    statement: Option<String>,
}

impl Addition {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { name: row.try_get("addition")?, statement: row.try_get("statement")? })
    }
}
