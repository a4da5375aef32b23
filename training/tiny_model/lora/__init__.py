"""LoRAs that teach the tiny model what it does not know."""
