"""Where people read: SQL, Postgres, DynamoDB, mail."""
