-- `purge-mail` asks each hour whose former address can be forgotten. It is kept for two days, so the index holds a few
-- accounts of however many there are.
CREATE INDEX users_former_email ON users (id) WHERE former_email IS NOT NULL;
