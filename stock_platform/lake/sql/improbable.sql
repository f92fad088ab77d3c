-- Bars that are possible and yet improbable: an extreme far outside of what the symbol does in
-- the five bars before and after it, by more than 2 % and 15 times its usual range or move of the
-- session. A price that stays where it went is none. They remain in minute_bars.
CREATE VIEW improbable_minute_bars AS
WITH b AS (
    SELECT symbol, session, minute,
           high::DOUBLE AS high, low::DOUBLE AS low, close::DOUBLE AS close,
           greatest(open, close)::DOUBLE AS top, least(open, close)::DOUBLE AS bottom
    FROM minute_bars_best
), moved AS (
    SELECT *, ln(high / low) AS span,
           abs(ln(close / lag(close) OVER (PARTITION BY symbol, session ORDER BY minute))) AS move
    FROM b
), near AS (
    SELECT *,
           greatest(median(span) OVER whole, coalesce(median(move) OVER whole, 0)) AS usual,
           max(top) OVER around AS top_near,
           min(bottom) OVER around AS bottom_near,
           lag(minute) OVER ordered IS NOT NULL AND lead(minute) OVER ordered IS NOT NULL AS inside
    FROM moved
    WINDOW whole AS (PARTITION BY symbol, session),
           ordered AS (PARTITION BY symbol, session ORDER BY minute),
           around AS (
               PARTITION BY symbol, session ORDER BY minute
               ROWS BETWEEN 5 PRECEDING AND 5 FOLLOWING EXCLUDE CURRENT ROW
           )
)
SELECT symbol, session, minute,
       CASE WHEN ln(high / top_near) > ln(bottom_near / low) THEN 'high' ELSE 'low' END AS extreme,
       CASE WHEN ln(high / top_near) > ln(bottom_near / low) THEN high ELSE low END AS price,
       CASE WHEN ln(high / top_near) > ln(bottom_near / low) THEN top_near ELSE bottom_near END
           AS nearest
FROM near
-- The first and the last bar of a session may have moved for good: of them only a wick counts.
WHERE greatest(
    ln(high / CASE WHEN inside THEN top_near ELSE greatest(top_near, top) END),
    ln(CASE WHEN inside THEN bottom_near ELSE least(bottom_near, bottom) END / low)
) > greatest(0.02, 15 * usual);

CREATE VIEW minute_bars_clean AS
SELECT b.* FROM minute_bars b
WHERE NOT EXISTS (
    SELECT 1 FROM improbable_minute_bars i
    WHERE i.symbol = b.symbol AND i.session = b.session AND i.minute = b.minute
);

-- A day's extreme that is four times, or a quarter of, both its open and its close.
CREATE VIEW improbable_daily_bars AS
SELECT symbol, session,
       CASE WHEN high > 4 * greatest(open, close) THEN 'high' ELSE 'low' END AS extreme,
       CASE WHEN high > 4 * greatest(open, close) THEN high ELSE low END::DOUBLE AS price,
       CASE WHEN high > 4 * greatest(open, close) THEN greatest(open, close)
            ELSE least(open, close) END::DOUBLE AS nearest
FROM daily_bars_stored
WHERE high > 4 * greatest(open, close) OR 4 * low < least(open, close);

CREATE VIEW daily_bars_clean AS
SELECT d.* FROM daily_bars d
WHERE NOT EXISTS (
    SELECT 1 FROM improbable_daily_bars i WHERE i.symbol = d.symbol AND i.session = d.session
);
