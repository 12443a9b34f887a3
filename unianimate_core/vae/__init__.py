"""VAEs between images and latents."""
