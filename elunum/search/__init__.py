"""Typed words -> query tree -> results."""
