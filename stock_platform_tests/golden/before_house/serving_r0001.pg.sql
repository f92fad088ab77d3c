--
-- PostgreSQL database dump
--

-- Dumped from database version 16.2
-- Dumped by pg_dump version 16.2

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: stock_data; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.stock_data (
    date date NOT NULL,
    symbol text NOT NULL COLLATE pg_catalog."C",
    open numeric(18,6) NOT NULL,
    high numeric(18,6) NOT NULL,
    low numeric(18,6) NOT NULL,
    close numeric(18,6) NOT NULL,
    volume numeric(18,6) NOT NULL,
    volatility numeric(38,6),
    rolling_avg numeric(38,6),
    daily_pct_change numeric(38,6)
);


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.alembic_version VALUES ('0001');


--
-- Data for Name: stock_data; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.stock_data VALUES ('2026-11-18', 'AAPL', 68.800000, 70.420000, 68.620000, 69.800000, 329336.057191, 2.578797, NULL, NULL);
INSERT INTO public.stock_data VALUES ('2026-11-19', 'AAPL', 70.020000, 71.530000, 69.960000, 70.700000, 243223.829415, 2.220651, NULL, 1.289398);
INSERT INTO public.stock_data VALUES ('2026-11-20', 'AAPL', 69.810000, 72.150000, 69.760000, 71.780000, 373430.165653, 3.329618, NULL, 1.527581);
INSERT INTO public.stock_data VALUES ('2026-11-18', 'BRK.B', 45.140000, 45.210000, 44.900000, 45.030000, 18167.909308, 0.688430, NULL, NULL);
INSERT INTO public.stock_data VALUES ('2026-11-19', 'BRK.B', 45.390000, 45.590000, 45.280000, 45.580000, 16807.038367, 0.680123, NULL, 1.221408);
INSERT INTO public.stock_data VALUES ('2026-11-20', 'BRK.B', 46.010000, 46.120000, 45.720000, 45.810000, 27738.633686, 0.873172, NULL, 0.504607);
INSERT INTO public.stock_data VALUES ('2026-11-18', 'MSFT', 37.100000, 37.400000, 36.630000, 37.310000, 2729907.734958, 2.063790, NULL, NULL);
INSERT INTO public.stock_data VALUES ('2026-11-19', 'MSFT', 36.710000, 36.760000, 35.400000, 35.850000, 1338522.727453, 3.793584, NULL, -3.913160);
INSERT INTO public.stock_data VALUES ('2026-11-20', 'MSFT', 36.870000, 37.900000, 36.800000, 37.810000, 1644456.520177, 2.909283, NULL, 5.467225);
INSERT INTO public.stock_data VALUES ('2026-11-18', 'QUBT', 6.700000, 6.720000, 6.680000, 6.700000, 470258.704216, 0.597015, NULL, NULL);
INSERT INTO public.stock_data VALUES ('2026-11-19', 'QUBT', 6.720000, 6.730000, 6.630000, 6.670000, 456653.825816, 1.499250, NULL, -0.447761);
INSERT INTO public.stock_data VALUES ('2026-11-20', 'QUBT', 6.690000, 6.700000, 6.690000, 6.700000, 48331.269584, 0.149254, NULL, 0.449775);
INSERT INTO public.stock_data VALUES ('2026-11-18', 'RKLB', 29.650000, 30.130000, 29.630000, 30.110000, 1152399.145622, 1.660578, NULL, NULL);
INSERT INTO public.stock_data VALUES ('2026-11-19', 'RKLB', 29.450000, 29.800000, 29.230000, 29.750000, 1506552.953730, 1.915966, NULL, -1.195616);
INSERT INTO public.stock_data VALUES ('2026-11-20', 'RKLB', 14.870000, 15.090000, 14.830000, 15.050000, 2135154.089943, 1.727575, NULL, 1.176471);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: stock_data stock_data_symbol_date; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.stock_data
    ADD CONSTRAINT stock_data_symbol_date UNIQUE (symbol, date);


--
-- PostgreSQL database dump complete
--

