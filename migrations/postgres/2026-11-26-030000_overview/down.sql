DROP INDEX jobs_dead;
DROP INDEX jobs_unfinished;
