"""Files: written whole, on this machine or on object storage, and where those that can be made again are kept."""
