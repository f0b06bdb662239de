-- Which token a rotated one was exchanged for: a client that lost the answer, or a second tab, is given the same one.
-- Whether the first of two exchanges wins is decided by blacklisted_tokens_token_id_key.
ALTER TABLE blacklisted_tokens
    ADD COLUMN successor_id bigint REFERENCES outstanding_tokens (id) ON DELETE SET NULL,
    ADD CONSTRAINT blacklisted_tokens_successor_of_rotated CHECK (successor_id IS NULL OR reason = 'rotated');

CREATE INDEX blacklisted_tokens_successor_id ON blacklisted_tokens (successor_id) WHERE successor_id IS NOT NULL;
