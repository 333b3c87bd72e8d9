DROP INDEX jobs_dead_of_queue;
DROP INDEX jobs_unfinished;
