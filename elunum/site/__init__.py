"""The site: HTML, JSON, exports and feeds, none of which writes anything about a reader."""
