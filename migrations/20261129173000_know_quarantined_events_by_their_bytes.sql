-- Under an event's id anything may lie in quarantine: a broken copy, a forged one. An event has arrived there if its own bytes
-- have, which the relays know by their digest (of message id and body). They see neither body nor properties.
GRANT SELECT (digest) ON audit.quarantine TO warren_producer_api, warren_scheduler;
