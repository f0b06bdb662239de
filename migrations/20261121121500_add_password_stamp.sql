-- A random mark of the present password, new with every change of it and only then: a mere re-hash keeps it. Tokens
-- carry it under CHECK_REVOKE_TOKEN, where SimpleJWT writes an MD5 of the hash; it tells nothing about the password.
-- When it was last changed, if ever: tokens without a session, which no end of a session reaches, are refused if they are
-- older.
ALTER TABLE users
    ADD COLUMN password_stamp uuid NOT NULL DEFAULT gen_random_uuid(),
    ADD COLUMN password_changed_at timestamptz;
