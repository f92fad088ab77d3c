"""Who is expected on a session: listed securities under their symbols, and whoever traded."""
