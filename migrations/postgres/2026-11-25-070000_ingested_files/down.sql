DROP TABLE ingested_files;
