"""How long going back takes on real containers, and what the clients notice of it."""
