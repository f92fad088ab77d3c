-- One row per symbol and span [from_on, before_on) of sessions: what a price of the span is
-- multiplied with, and a volume divided by, to be comparable with the shares of today.
CREATE VIEW split_factors AS
SELECT symbol,
       lag(executed_on) OVER (PARTITION BY symbol ORDER BY executed_on) AS from_on,
       executed_on AS before_on,
       product(split_from / split_to) OVER (
           PARTITION BY symbol ORDER BY executed_on DESC ROWS UNBOUNDED PRECEDING
       ) AS split_factor
FROM splits
WHERE split_from > 0 AND split_to > 0;
