-- A blacklisted token is refused for as long as its outstanding row is kept. The unique key decides a
-- race: of two that blacklist the same token at once, one wins.
CREATE TABLE blacklisted_tokens (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_id       bigint      NOT NULL CONSTRAINT blacklisted_tokens_token_id_key UNIQUE
                               REFERENCES outstanding_tokens (id) ON DELETE CASCADE,
    blacklisted_at timestamptz NOT NULL,
    reason         text        NOT NULL
);
