-- Likewise for cash dividends in US dollars: each takes 1 - amount / close of the last session
-- before its ex-date (that close in shares of the ex-date) off every earlier price.
CREATE VIEW dividend_factors AS
WITH paid AS (
    SELECT symbol, ex_on, sum(amount)::DOUBLE AS amount
    FROM dividends
    WHERE amount > 0 AND coalesce(upper(currency), 'USD') = 'USD'
    GROUP BY ALL
), priced AS (
    SELECT p.symbol, p.ex_on, p.amount, d.session, d.close::DOUBLE AS close
    FROM paid p ASOF JOIN daily_bars_stored d ON p.symbol = d.symbol AND p.ex_on > d.session
), rescaled AS (
    SELECT p.symbol, p.ex_on, any_value(p.amount) AS amount,
           any_value(p.close) * coalesce(product(s.split_from / s.split_to), 1) AS close
    FROM priced p LEFT JOIN splits s
      ON s.symbol = p.symbol AND s.executed_on > p.session AND s.executed_on <= p.ex_on
    GROUP BY ALL
)
SELECT symbol,
       lag(ex_on) OVER (PARTITION BY symbol ORDER BY ex_on) AS from_on,
       ex_on AS before_on,
       product(1 - amount / close) OVER (
           PARTITION BY symbol ORDER BY ex_on DESC ROWS UNBOUNDED PRECEDING
       ) AS dividend_factor
FROM rescaled
WHERE amount < close;
