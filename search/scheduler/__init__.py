"""Every decision of a sweep; knows neither Ray nor torch nor files."""
