DROP INDEX jobs_of_parent;
CREATE INDEX jobs_of_parent ON jobs (parent) WHERE parent IS NOT NULL;
DROP INDEX jobs_of_owner;
CREATE INDEX jobs_of_owner ON jobs (owner) WHERE owner IS NOT NULL;
DROP INDEX jobs_over_by_trace;
DROP INDEX jobs_over_by_queue;
DROP INDEX jobs_over_by_kind;
DROP INDEX jobs_over_by_state;
DROP INDEX jobs_waiting;
