"""Real servers for the tests and benches of serving, on loopback, stopped at the end."""

import shutil
import tempfile
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psycopg


@contextmanager
def running_postgres() -> Generator[str]:
    """Run a Postgres of its own in a fresh folder and return its URL."""
    with warnings.catch_warnings():
        # pgserver asks for XDG_RUNTIME_DIR while it is imported and warns when there is none.
        warnings.simplefilter("ignore")
        import pgserver

    # Not below pytest's folder: a socket's path has at most 107 characters, and a
    # server started by root runs as another user, who may not enter that folder.
    folder = Path(tempfile.mkdtemp(prefix="stocks-pg-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def fresh_database(server_url: str, name: str) -> Generator[str]:
    """Make an empty database on a running server, return its URL, drop it afterwards."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield server_url.replace("/postgres?", f"/{name}?")
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def running_aws() -> Generator[str]:
    """Run moto's server (SQS, DynamoDB, Kinesis, SNS) and return its URL."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()
