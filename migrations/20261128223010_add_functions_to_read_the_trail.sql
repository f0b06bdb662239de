-- What the views are made of, and what operators type. All of them are small and change nothing.

-- The first id of an instant's millisecond. `first_event_id` rounds to the nearest one, which is right for months and
-- may leave out half a millisecond of anything else.
CREATE FUNCTION audit.id_at(instant timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    -- Ids begin in 1970, and 48 bits of milliseconds end in 10889. The infinities count as the ends.
    RETURN CASE
        WHEN instant < timestamptz '1970-01-01 00:00Z' THEN '00000000-0000-0000-0000-000000000000'
        WHEN instant >= timestamptz '9999-01-01 00:00Z' THEN 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        ELSE (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
    END;
COMMENT ON FUNCTION audit.id_at(timestamptz) IS
    'the first event id of an instant: WHERE event_id >= audit.id_at(''2026-11-28 10:00Z'') reads only the partitions it must';

CREATE FUNCTION audit.since(ago interval) RETURNS uuid
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    RETURN audit.id_at(now() - ago);
COMMENT ON FUNCTION audit.since(interval) IS
    'the first event id of so long ago: WHERE event_id >= audit.since(''1 hour'') reads only the partitions it must';

CREATE FUNCTION audit.instant_of(event_id uuid) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN timestamptz '1970-01-01 00:00Z'
        + ('x' || lpad(left(replace(event_id::text, '-', ''), 12), 16, '0'))::bit(64)::bigint * interval '1 millisecond';
COMMENT ON FUNCTION audit.instant_of(uuid) IS 'the millisecond in an event''s id';

-- A body is JSON, but anybody's: jsonb knows no U+0000 and no number beyond its range. One such event must not make
-- a view fail for all others. (No parallel worker may begin the subtransaction that this takes.)
CREATE FUNCTION audit.envelope(body text) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE AS $$
BEGIN
    RETURN body::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.envelope(text) IS 'a body as jsonb; null where jsonb can''t hold it';

-- Summed over millions of rows, and for any body: so no jsonb. In JSON a quote inside a text is escaped, so no text
-- that somebody typed looks like the name of a member.
CREATE FUNCTION audit.times(body text) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN coalesce(substring(body FROM '[{,]\s*"count"\s*:\s*([0-9]{1,15})\M')::bigint, 1);
COMMENT ON FUNCTION audit.times(text) IS
    'how often the thing happened that a body tells of: its "count" if it was counted, else 1';

CREATE FUNCTION audit.as_number(value text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value ~ '^[0-9]{1,18}$' THEN value::bigint END;
COMMENT ON FUNCTION audit.as_number(text) IS 'a text as a number; null where it is none';

CREATE FUNCTION audit.as_instant(value text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE STRICT PARALLEL UNSAFE AS $$
BEGIN
    RETURN value::timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;
COMMENT ON FUNCTION audit.as_instant(text) IS 'a text as an instant; null where it is none';

-- As the limits count: whoever has one address of IPv6 has its /64.
CREATE FUNCTION audit.network_of(ip inet) RETURNS inet
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE family(ip) WHEN 4 THEN set_masklen(ip, 32) ELSE set_masklen(ip::cidr, 64)::inet END;
COMMENT ON FUNCTION audit.network_of(inet) IS 'a client''s address; of IPv6 its /64, which is one client''s';

-- Operators' role has these by PUBLIC's right to execute, which new functions have.
