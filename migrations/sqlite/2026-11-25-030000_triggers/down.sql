DROP TABLE triggered_jobs;
