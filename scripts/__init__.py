"""Commands for maintainers: they build data and documentation of the project; the product never runs them."""
