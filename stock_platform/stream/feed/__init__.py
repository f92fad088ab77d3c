"""One WebSocket per host, from the handshake to the journal."""
