-- The address before the present one: a notice that was due before the present one was proved goes there, however late it
-- can be delivered. Of several the first: a second change outruns nothing. Whoever took an account over must not be able to outrun its owner's mail server. The job
-- `purge-mail` forgets it.
ALTER TABLE users
    ADD COLUMN former_email text,
    ADD CONSTRAINT users_former_email_length CHECK (char_length(former_email) <= 254);
