"""The demo web: example pages of example hosts, and the small server that answers for them on loopback."""
