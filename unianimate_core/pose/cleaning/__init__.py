"""One person's poses from everybody's: chosen, filled, smoothed and sampled in time."""
