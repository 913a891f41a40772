-- Gives every role the same privileges on the tables of the new copy as on the replica's.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        WITH pair AS (
            SELECT format('%s rebuild.%I', CASE copy.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, copy.relname)
                       AS target,
                   old.oid, old.relowner, old.relacl, copy.relowner AS copy_owner, copy.relacl AS copy_acl
            FROM pg_class AS copy
            JOIN pg_class AS old ON old.relname = copy.relname AND old.relkind = copy.relkind
            WHERE copy.relnamespace = 'rebuild'::regnamespace AND copy.relkind IN ('r', 'S')
              AND old.relnamespace = 'public'::regnamespace
        )
        SELECT 1 AS turn, format('REVOKE ALL ON %s FROM', target) AS action, grantee, false AS is_grantable
        FROM pair, aclexplode(copy_acl) WHERE grantee <> copy_owner
        UNION
        SELECT 2, format('GRANT %s ON %s TO', privilege_type, target), grantee, is_grantable
        FROM pair, aclexplode(relacl) WHERE grantee <> relowner
        UNION
        SELECT 2, format('GRANT %s (%I) ON %s TO', privilege_type, attname, target), grantee, is_grantable
        FROM pair JOIN pg_attribute ON attrelid = pair.oid AND NOT attisdropped, aclexplode(attacl)
        WHERE grantee <> relowner
        ORDER BY turn
    LOOP
        EXECUTE format('%s %s%s', one.action,
                       CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(one.grantee)) END,
                       CASE WHEN one.is_grantable THEN ' WITH GRANT OPTION' END);
    END LOOP;
END
$$
