-- Requests with tokens that have no session are judged by two more columns, and those of imported users by the mark of
-- Django's hash that was kept at a rehash. Without them here whoever changed these by SQL was not noticed by a replica that
-- knew the user.
CREATE OR REPLACE TRIGGER users_changed AFTER UPDATE ON users
    FOR EACH ROW
    WHEN ((OLD.username, OLD.is_active, OLD.is_staff, OLD.is_superuser, OLD.password, OLD.password_stamp,
            OLD.imported_password_md5, OLD.password_changed_at, OLD.date_joined)
        IS DISTINCT FROM (NEW.username, NEW.is_active, NEW.is_staff, NEW.is_superuser, NEW.password, NEW.password_stamp,
            NEW.imported_password_md5, NEW.password_changed_at, NEW.date_joined))
    EXECUTE FUNCTION record_user_change();
