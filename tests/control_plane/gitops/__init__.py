"""Delivery from Git beside the operator, on a real API server."""
