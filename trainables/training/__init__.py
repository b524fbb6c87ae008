"""One configuration trained, epoch by epoch."""
