"""Looking for a fault before anybody searches."""
