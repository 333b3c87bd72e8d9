DROP TABLE also_bought;
DROP TABLE schedules;
