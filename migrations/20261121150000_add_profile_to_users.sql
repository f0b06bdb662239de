-- What a user may say of himself, and the address that he wants and has not proved yet: the present one stays until then.
ALTER TABLE users
    ADD COLUMN first_name    text NOT NULL DEFAULT '',
    ADD COLUMN last_name     text NOT NULL DEFAULT '',
    ADD COLUMN pending_email text,
    ADD CONSTRAINT users_names_length CHECK (char_length(first_name) <= 150 AND char_length(last_name) <= 150),
    ADD CONSTRAINT users_pending_email_length CHECK (char_length(pending_email) <= 254);

-- A forgotten password is asked for by address, verified or not, in any case.
CREATE INDEX users_email ON users (lower(email));
