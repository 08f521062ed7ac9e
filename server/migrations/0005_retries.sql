-- How often the worker of a run has died by itself since a person started the run, as JSON; NULL if it has not.
ALTER TABLE runs ADD COLUMN deaths TEXT;

-- Workers are found by their leases.
ALTER TABLE runs DROP COLUMN worker_pid;
