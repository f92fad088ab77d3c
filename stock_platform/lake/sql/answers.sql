-- Each response of a provider once, however often it was recorded.
CREATE VIEW answers AS SELECT DISTINCT * FROM answers_parts;
