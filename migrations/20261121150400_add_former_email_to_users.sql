-- The address before the present one: the notice that another was asked for goes there, also if that one is proved before
-- the notice could be delivered. Whoever took an account over must not be able to outrun its owner's mail server. The job
-- `purge-mail` forgets it.
ALTER TABLE users
    ADD COLUMN former_email text,
    ADD CONSTRAINT users_former_email_length CHECK (char_length(former_email) <= 254);
