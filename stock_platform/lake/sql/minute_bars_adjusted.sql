-- Bars in the shares of today: prices times the split factor, volumes divided by it.
CREATE VIEW minute_bars_adjusted AS
SELECT b.symbol, b.minute, b.session,
       b.open::DOUBLE * factor AS open,
       b.high::DOUBLE * factor AS high,
       b.low::DOUBLE * factor AS low,
       b.close::DOUBLE * factor AS close,
       b.vwap::DOUBLE * factor AS vwap,
       b.volume::DOUBLE / factor AS volume,
       b.transactions, b.provider, b.revision, b.observed_at, factor AS split_factor
FROM (
    SELECT t.*, coalesce(f.split_factor, 1.0) AS factor
    FROM minute_bars_best t
    LEFT JOIN split_factors f
      ON t.symbol = f.symbol AND t.session < f.before_on
     AND (f.from_on IS NULL OR t.session >= f.from_on)
) b;
