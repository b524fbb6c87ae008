"""Where a sweep lies: its folder, record, lock and manifest."""
