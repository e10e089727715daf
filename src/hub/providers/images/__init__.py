"""Image servers: one protocol, three kinds of servers; the built-in painter is one more (domain/painting)."""
