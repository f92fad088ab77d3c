-- The bars of one security under every symbol it had, by its FIGI or one of its symbols.
-- A symbol that several securities had names the newest of them; where nothing is known of a
-- symbol, its own bars.
CREATE MACRO symbols_of_security(name) AS TABLE
SELECT symbol, security, from_on, to_on
FROM symbol_spans
WHERE security = coalesce(
    (SELECT security FROM symbol_spans WHERE symbol = name ORDER BY from_on DESC NULLS LAST LIMIT 1),
    name
)
UNION ALL
SELECT name, name, NULL, NULL
WHERE NOT EXISTS (SELECT 1 FROM symbol_spans WHERE symbol = name OR security = name);

CREATE MACRO security_bars(name) AS TABLE
SELECT b.*, s.security
FROM daily_bars b JOIN symbols_of_security(name) s
  ON b.symbol = s.symbol
 AND (s.from_on IS NULL OR b.session >= s.from_on)
 AND (s.to_on IS NULL OR b.session < s.to_on);

CREATE MACRO security_minute_bars(name) AS TABLE
SELECT b.*, s.security
FROM minute_bars b JOIN symbols_of_security(name) s
  ON b.symbol = s.symbol
 AND (s.from_on IS NULL OR b.session >= s.from_on)
 AND (s.to_on IS NULL OR b.session < s.to_on);
