-- Whoever is deleted takes his links with him, dead ones too: without this index the cascade reads the whole table.
-- `mail_tokens_live` holds the live ones alone.
CREATE INDEX mail_tokens_user_id ON mail_tokens (user_id);
