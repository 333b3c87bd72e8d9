-- Which version of their kind's arguments a job's args are: another version of the program may read them.
ALTER TABLE jobs ADD COLUMN args_version integer NOT NULL DEFAULT 1;
