"""Video files and images."""
