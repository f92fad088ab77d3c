-- Each response of a provider once, however often it was recorded.
CREATE VIEW answers AS SELECT DISTINCT * FROM answers_parts;
-- Each rejected row once, with the time it was first seen.
CREATE VIEW quarantine AS
SELECT dataset, provider, symbol, "at", reason, record, min(observed_at) AS observed_at
FROM quarantine_parts
GROUP BY ALL;
