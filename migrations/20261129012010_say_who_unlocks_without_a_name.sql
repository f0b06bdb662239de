-- A mailed link ends the wait of the account, too: whoever proves his address or chooses a new password by one may log in.
COMMENT ON VIEW audit.lockouts IS
    'Waits that began because too many secrets were wrong: of an account (or a name of nobody, without user_id), or of an address. unlocked_at only if the wait of the account was ended before its time: by staff (unlocked_by), or without unlocked_by by a command or by a link that was mailed to the owner; audit.user_timeline says which.';
