"""Runstone's client."""
