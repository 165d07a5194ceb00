"""What each route does: parse, call, shape."""
