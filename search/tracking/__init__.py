"""Who watches a sweep; nothing here is read back."""
