-- Accounts, with the columns Django's clients know.
-- A username is unique exactly as written: no lower-casing, no Unicode normalisation.
-- An e-mail address is unique among *verified* addresses only: whoever registers a stranger's
-- address first must not keep its owner out.
CREATE TABLE users (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username          text        NOT NULL CONSTRAINT users_username_key UNIQUE,
    email             text        NOT NULL,
    email_verified_at timestamptz,
    password          text        NOT NULL,
    is_active         boolean     NOT NULL DEFAULT true,
    is_staff          boolean     NOT NULL DEFAULT false,
    is_superuser      boolean     NOT NULL DEFAULT false,
    date_joined       timestamptz NOT NULL,
    last_login        timestamptz,
    login_failures    integer     NOT NULL DEFAULT 0,
    CONSTRAINT users_username_length CHECK (char_length(username) BETWEEN 1 AND 150),
    CONSTRAINT users_email_length CHECK (char_length(email) <= 254)
);

CREATE UNIQUE INDEX users_verified_email_key ON users (lower(email)) WHERE email_verified_at IS NOT NULL;

COMMENT ON COLUMN users.password IS 'Argon2id in PHC form; never leaves the database but for a check';
COMMENT ON COLUMN users.login_failures IS 'wrong passwords since the last login that succeeded';
