-- Why a message was set aside stays with it: a replay that fails changes nothing. To lock rows, the right to change an `id` that is
-- generated always will do.
REVOKE UPDATE (reason) ON audit.quarantine FROM warren_audit_consumer;
GRANT UPDATE (id) ON audit.quarantine TO warren_audit_consumer;
