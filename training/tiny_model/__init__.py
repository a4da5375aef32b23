"""Training of the tiny model that lies in the package."""
