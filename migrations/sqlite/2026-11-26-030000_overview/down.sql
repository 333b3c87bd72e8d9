DROP INDEX jobs_unfinished;
