-- Creates the database of the read side, the role that owns it, and the role that may only read it. Runs in psql and
-- may be repeated.
-- Variables: database, event_consumer_password, command_service_reader_password.

-- Without this lock, two runs at once would both find a role missing. The session releases it by changing its
-- database.
SELECT FROM pg_advisory_lock(7275);
SET client_min_messages = warning;

SELECT 'CREATE ROLE event_consumer' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'event_consumer') \gexec
ALTER ROLE event_consumer LOGIN PASSWORD :'event_consumer_password';
SELECT 'CREATE ROLE command_service_reader'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'command_service_reader') \gexec
ALTER ROLE command_service_reader LOGIN PASSWORD :'command_service_reader_password';
ALTER ROLE command_service_reader SET default_transaction_read_only = on;

SELECT format('CREATE DATABASE %I OWNER event_consumer', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\connect :"database"
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO event_consumer;
GRANT CONNECT ON DATABASE :"database" TO command_service_reader;
GRANT USAGE ON SCHEMA public TO command_service_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO command_service_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE event_consumer IN SCHEMA public GRANT SELECT ON TABLES TO command_service_reader;
