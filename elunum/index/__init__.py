"""Archived bytes -> documents with tags -> a fresh index version."""
