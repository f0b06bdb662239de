-- SimpleJWT's own mark, the MD5 of Django's hash, of a hash that was imported and has been replaced by ours since. Tokens
-- that the Django service minted carry it and go on working; a change of the password empties it.
ALTER TABLE users ADD COLUMN imported_password_md5 text;
