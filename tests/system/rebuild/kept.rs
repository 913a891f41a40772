//! What a rebuild keeps: the form of the tables, what was added to them, who may do what, open dead letters.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use stack::Role;
use system_tests::{
    Pair, RECOVERY, assert_level,
    broker::{Message, publish},
    eventually, with_pair,
};
use tokio_postgres::error::SqlState;

use super::{assert_nothing_left, rebuild, rebuilt};

/// Everything about the tables but their rows and their numbers.
const FORM: &str = "
    SELECT format('relation %s %s', relname, relkind) AS what,
           format('%s %s %s', (SELECT array_agg(one::text ORDER BY one::text) 
                                     FROM unnest(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::text::\"char\", relowner))) AS one), reloptions, obj_description(oid, 'pg_class')) AS how
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('column %s.%s', relname, attname),
           format('%s %s %s %s %s %s %s', format_type(atttypid, atttypmod), atttypid, attnotnull,
                  (SELECT array_agg(one::text ORDER BY one::text) FROM unnest(attacl) AS one),
                  attidentity::text || attgenerated::text, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT format('constraint %s of %s', conname, conrelid::regclass), pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    UNION ALL
    SELECT format('index %s', indexname), indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT format('trigger %s', tgname), format('%s %s', tgenabled, pg_get_triggerdef(pg_trigger.oid))
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = 'public'::regnamespace AND NOT tgisinternal
    UNION ALL
    SELECT format('function %s', oid::regprocedure), format('%s %s', prosrc, obj_description(oid, 'pg_proc'))
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL
    SELECT format('type %s', typname), format('%s', oid)
    FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'd'";

async fn form(pair: &Pair) -> Result<BTreeMap<String, String>> {
    let rows = pair.replica.sql().await?.query(FORM, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get("what")?, row.try_get("how")?))).collect()
}

#[test]
fn tables_have_the_same_form_grants_and_additions_after_a_rebuild() -> Result<()> {
    with_pair(async |pair| {
        pair.client().created("Slot 1").await?;
        assert_level(pair).await?;
        pair.replica
            .sql()
            .await?
            .batch_execute(
                "CREATE INDEX by_lower_name ON parking_slots (lower(name)) WHERE status = 'available';
                 CREATE UNIQUE INDEX \"Odd ON public.x \" ON dead_letters (id, position) INCLUDE (reason);
                 ALTER TABLE parking_slots ADD CONSTRAINT by_hand CHECK (name <> 'nonsense');
                 ALTER TABLE parking_slot_tombstones ADD CONSTRAINT only_once UNIQUE (uuid, version);
                 CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                 COMMENT ON FUNCTION nothing() IS 'By hand';
                 CREATE TRIGGER by_hand BEFORE UPDATE OF name ON parking_slots FOR EACH ROW
                     WHEN (NEW.name = 'nobody') EXECUTE FUNCTION nothing();
                 CREATE TRIGGER off BEFORE UPDATE ON parking_slots FOR EACH ROW EXECUTE FUNCTION nothing();
                 ALTER TABLE parking_slots DISABLE TRIGGER off;
                 GRANT SELECT (name), UPDATE (name) ON parking_slots TO PUBLIC;
                 GRANT INSERT ON dead_letters TO PUBLIC;
                 GRANT DELETE ON parking_slot_tombstones TO command_service_reader WITH GRANT OPTION;
                 REVOKE SELECT ON refinery_schema_history FROM command_service_reader",
            )
            .await?;
        let before = form(pair).await?;
        ensure!(before.len() > 60, "{} things are looked at", before.len());

        rebuilt(rebuild(pair)?.end().await?)?;

        let after = form(pair).await?;
        for what in before.keys().chain(after.keys()) {
            assert_eq!(before.get(what), after.get(what), "{what}");
        }
        // A second one, beside which everything goes on as after the first.
        rebuilt(rebuild(pair)?.end().await?)?;
        assert_eq!(before, form(pair).await?);
        let reader = pair.replica.connect_as(Role::CommandServiceReader).await?;
        reader.batch_execute("SET default_transaction_read_only = off").await?;
        reader.query("SELECT * FROM parking_slots", &[]).await?;
        let refused = reader.batch_execute("DELETE FROM parking_slots").await;
        let code = refused.err().and_then(|error| error.code().cloned());
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE));
        assert_level(pair).await?;
        pair.ready().await
    })
}

/// The open letters: number, position, retries.
async fn letters(pair: &Pair) -> Result<Vec<(i64, Option<i64>, i32)>> {
    let sql = pair.replica.sql().await?;
    let rows = sql.query("SELECT id, position, retries FROM dead_letters ORDER BY id", &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

#[test]
fn dead_letters_keep_their_numbers_and_those_that_can_be_applied_are() -> Result<()> {
    with_pair(async |pair| {
        let client = pair.client();
        let sql = pair.replica.sql().await?;
        let refuse = "ALTER TABLE parking_slots ADD CONSTRAINT refused CHECK (name NOT LIKE 'culprit%')";
        sql.batch_execute(refuse).await?;
        let (_connection, channel) = pair.broker.channel().await?;
        let properties = BasicProperties::default().with_content_type("text/plain".into());
        let garbage = Message { body: b"garbage".to_vec(), properties };
        publish(&channel, "parking.events", "parking.create", &garbage).await?;
        eventually(RECOVERY, "the garbage is dead-lettered", async || {
            ensure!(letters(pair).await?.len() == 1, "not yet");
            Ok(())
        })
        .await?;
        let culprit = client.created("culprit").await?;
        client.created("Good").await?;
        let before = eventually(RECOVERY, "the culprit is dead-lettered", async || {
            let letters = letters(pair).await?;
            ensure!(letters.len() == 2, "{letters:?}");
            Ok(letters)
        })
        .await?;
        sql.batch_execute("UPDATE dead_letters SET retries = 3; SELECT nextval('dead_letters_id_seq')")
            .await?;

        let refused_again = rebuilt(rebuild(pair)?.end().await?)?;
        let kept = letters(pair).await?;
        sql.batch_execute("ALTER TABLE parking_slots DROP CONSTRAINT refused").await?;
        let healed = rebuilt(rebuild(pair)?.end().await?)?;

        assert_eq!(before.iter().map(|letter| letter.1).collect::<Vec<_>>(), [None, Some(1)]);
        let expected: Vec<_> = before.iter().map(|(id, position, _)| (*id, *position, 3)).collect();
        assert_eq!(kept, expected, "under the same numbers, with their history");
        assert_eq!(refused_again["dead_letters"], 2);
        assert_eq!(healed["dead_letters"], 1, "only the garbage is left");
        assert_eq!(letters(pair).await?, expected[..1]);
        assert_eq!(client.get(culprit.uuid).await?.slot(200)?, culprit);
        let next: i64 = sql.query_one("SELECT nextval('dead_letters_id_seq')", &[]).await?.try_get(0)?;
        ensure!(next > kept[1].0 + 1, "number {next} has been given before");
        assert_nothing_left(pair).await?;
        let discarded = sql.execute("DELETE FROM dead_letters", &[]).await?;
        ensure!(discarded == 1, "{discarded}");
        assert_level(pair).await.context("the healed slot")?;
        pair.ready().await
    })
}
