ALTER TABLE jobs DROP COLUMN args_version;
