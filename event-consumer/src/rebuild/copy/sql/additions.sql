-- Lists what was added by hand to the replica's tables and is missing on those of the new copy. Returns each addition
-- and the statement that adds it to the copy; null if there is no such statement.
WITH pair AS MATERIALIZED (
    SELECT old.oid AS old, copy.oid AS copy, copy.relname AS name
    FROM pg_class AS copy
    JOIN pg_class AS old ON old.relname = copy.relname AND old.relkind = copy.relkind
    WHERE copy.relnamespace = 'rebuild'::regnamespace AND copy.relkind = 'r'
      AND old.relnamespace = 'public'::regnamespace
),
-- Objects that belong to a table and move with it.
own AS MATERIALIZED (
    SELECT 'pg_constraint'::regclass AS catalog, oid AS object FROM pg_constraint JOIN pair ON conrelid = pair.old
    UNION ALL
    SELECT 'pg_trigger'::regclass, oid FROM pg_trigger JOIN pair ON tgrelid = pair.old
    UNION ALL
    SELECT 'pg_attrdef'::regclass, oid FROM pg_attrdef JOIN pair ON adrelid = pair.old
    UNION ALL
    SELECT 'pg_class'::regclass, oid FROM pg_class WHERE relkind IN ('i', 'S', 't')
    UNION ALL
    SELECT 'pg_type'::regclass, type.oid FROM pg_type AS type JOIN pair ON type.typrelid = pair.old
)
SELECT format('constraint %I of %I', conname, pair.name) AS addition,
       format('ALTER TABLE rebuild.%I ADD CONSTRAINT %I %s', pair.name, conname, pg_get_constraintdef(old.oid))
           AS statement
FROM pair
JOIN pg_constraint AS old ON old.conrelid = pair.old AND old.contype IN ('c', 'u', 'x', 'f')
WHERE NOT EXISTS (SELECT FROM pg_constraint AS copy WHERE copy.conrelid = pair.copy AND copy.conname = old.conname)
UNION ALL
SELECT format('index %I of %I', relation.relname, pair.name),
       create_index || format('rebuild.%I ', pair.name)
       || substr(pg_get_indexdef(index.indexrelid), length(create_index || format('public.%I ', pair.name)) + 1)
FROM pair
JOIN pg_index AS index ON index.indrelid = pair.old AND index.indisvalid
JOIN pg_class AS relation ON relation.oid = index.indexrelid
-- The beginning of an index definition, before the name of its table.
CROSS JOIN LATERAL format('CREATE %sINDEX %I ON ', CASE WHEN indisunique THEN 'UNIQUE ' END, relation.relname)
    AS create_index
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = index.indexrelid)
  AND NOT EXISTS (SELECT FROM pg_index AS other JOIN pg_class ON pg_class.oid = other.indexrelid
                  WHERE other.indrelid = pair.copy AND pg_class.relname = relation.relname)
UNION ALL
SELECT format('trigger %I of %I', old.tgname, pair.name),
       replace(pg_get_triggerdef(old.oid), format(' ON public.%I ', pair.name), format(' ON rebuild.%I ', pair.name))
       || CASE old.tgenabled WHEN 'O' THEN ''
          ELSE format('; ALTER TABLE rebuild.%I %s TRIGGER %I', pair.name,
                      CASE old.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END,
                      old.tgname) END
FROM pair
JOIN pg_trigger AS old ON old.tgrelid = pair.old AND NOT old.tgisinternal
WHERE NOT EXISTS (SELECT FROM pg_trigger AS copy WHERE copy.tgrelid = pair.copy AND copy.tgname = old.tgname)
UNION ALL
SELECT format('column %I of %I', old.attname, pair.name), NULL
FROM pair
JOIN pg_attribute AS old ON old.attrelid = pair.old AND old.attnum > 0 AND NOT old.attisdropped
WHERE NOT EXISTS (SELECT FROM pg_attribute AS copy
                  WHERE copy.attrelid = pair.copy AND copy.attname = old.attname AND NOT copy.attisdropped)
UNION ALL
SELECT format('policy %I of %I', polname, pair.name), NULL FROM pair JOIN pg_policy ON polrelid = pair.old
UNION ALL
SELECT format('%I in publication %I', pair.name, pubname), NULL
FROM pair JOIN pg_publication_rel ON prrelid = pair.old JOIN pg_publication ON pg_publication.oid = prpubid
UNION ALL
SELECT format('statistics %I of %I', stxname, pair.name), NULL FROM pair JOIN pg_statistic_ext ON stxrelid = pair.old
UNION ALL
-- Views, functions and tables that refer to one of the replica's tables.
SELECT DISTINCT pg_describe_object(depends.classid, depends.objid, 0), NULL
FROM pair
JOIN pg_depend AS depends ON depends.refobjid IN (pair.old, (SELECT reltype FROM pg_class WHERE oid = pair.old))
                         AND depends.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass)
                         AND depends.deptype IN ('n', 'a')
WHERE depends.classid NOT IN ('pg_policy'::regclass, 'pg_publication_rel'::regclass, 'pg_statistic_ext'::regclass)
  AND NOT EXISTS (SELECT FROM own WHERE own.catalog = depends.classid AND own.object = depends.objid)
ORDER BY 1
