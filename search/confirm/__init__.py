"""The best trials again, and what is handed on."""
