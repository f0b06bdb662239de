-- When a count began. Below the limit a count lasts as long as the window, whoever tries meanwhile: without it, an office
-- behind one address, where somebody mistypes now and then and others log in all the time, would never be forgiven.
-- It also tells a count from the one before it: a try that began under the older one changes nothing in this one.
ALTER TABLE login_limits ADD COLUMN counted_from timestamptz NOT NULL DEFAULT now();
ALTER TABLE login_limits ALTER COLUMN counted_from DROP DEFAULT;
