"""Decides what is due, fetches politely, writes what it got to the archive."""
