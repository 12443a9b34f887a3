"""LongVideoChain and what it runs on."""
