-- The same for daily bars. Dividends are in adj_close alone, as published adjusted closes have them.
CREATE VIEW daily_bars_adjusted AS
SELECT t.*, coalesce(f.dividend_factor, 1.0) AS dividend_factor,
       t.close * coalesce(f.dividend_factor, 1.0) AS adj_close
FROM (
    SELECT b.symbol, b.session,
           b.open::DOUBLE * factor AS open,
           b.high::DOUBLE * factor AS high,
           b.low::DOUBLE * factor AS low,
           b.close::DOUBLE * factor AS close,
           b.vwap::DOUBLE * factor AS vwap,
           b.volume::DOUBLE / factor AS volume,
           b.transactions, b.provider, b.revision, b.observed_at, factor AS split_factor
    FROM (
        SELECT t.*, coalesce(f.split_factor, 1.0) AS factor
        FROM daily_bars_stored t
        LEFT JOIN split_factors f
          ON t.symbol = f.symbol AND t.session < f.before_on
         AND (f.from_on IS NULL OR t.session >= f.from_on)
    ) b
) t
LEFT JOIN dividend_factors f
  ON t.symbol = f.symbol AND t.session < f.before_on
 AND (f.from_on IS NULL OR t.session >= f.from_on);
