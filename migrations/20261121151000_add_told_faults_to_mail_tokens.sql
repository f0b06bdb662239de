-- Why a link was no good is told once for each link and reason: else whoever has one dead link could fill the trail with it.
ALTER TABLE mail_tokens ADD COLUMN told_faults text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN mail_tokens.told_faults IS 'the reasons of its refusals that auth.mail_token.refused has told';
