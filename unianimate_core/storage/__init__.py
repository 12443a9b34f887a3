"""Files that are whole or absent, locks on folders, and content hashes."""
