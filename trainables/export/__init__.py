"""A trained recogniser handed on, read again, and set beside others."""
