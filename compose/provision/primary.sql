-- Creates the database of the write side and the role that owns it. Runs in psql and may be repeated.
-- Variables: database, command_service_password.

-- Without this lock, two runs at once would both find a role missing. The session releases it by changing its
-- database.
SELECT FROM pg_advisory_lock(7275);
SET client_min_messages = warning;

SELECT 'CREATE ROLE command_service' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'command_service') \gexec
ALTER ROLE command_service LOGIN PASSWORD :'command_service_password';

SELECT format('CREATE DATABASE %I OWNER command_service', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\connect :"database"
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO command_service;
