-- A random mark of the present password, new with every change of it and only then: a mere re-hash keeps it. Tokens
-- carry it under CHECK_REVOKE_TOKEN, where SimpleJWT writes an MD5 of the hash; it tells nothing about the password.
ALTER TABLE users ADD COLUMN password_stamp uuid NOT NULL DEFAULT gen_random_uuid();
