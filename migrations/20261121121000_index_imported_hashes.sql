-- Whether any hash that came from Django is left is asked at every refused login: while there is one, refusals wait,
-- so that their time tells nothing. The index holds those accounts alone and is empty once everybody has logged in.
-- The query in producer-api/src/credentials/store.rs must have this very condition.
CREATE INDEX users_imported_hash ON users (id) WHERE password NOT LIKE '$argon2id$%' AND password NOT LIKE '!%';
