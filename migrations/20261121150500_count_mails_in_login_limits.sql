-- Mails that are asked for are counted beside wrong secrets, by the same rule: for whoever asks (`mail_asker`: a client's
-- address, or a user) and for the address they go to (`mail_recipient`: SHA-256 of the purpose and the address, and nothing
-- else, because anybody may type any address).
ALTER TABLE login_limits DROP CONSTRAINT login_limits_kind_known;
ALTER TABLE login_limits ADD CONSTRAINT login_limits_kind_known
    CHECK (kind IN ('account', 'address', 'mail_asker', 'mail_recipient'));
COMMENT ON COLUMN login_limits.key IS
    'SHA-256 of the name as it was typed, of the address or its /64, or of the purpose and the mail address in small letters';
