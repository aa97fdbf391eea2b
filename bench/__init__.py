"""What speed and quality are, as commands that print figures. `python -m bench` runs them all."""
