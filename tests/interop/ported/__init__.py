"""GLOWs of public code once more, in NumPy: states in their layouts, and what the code does.

Written from what the public code computes, in its own order of channels and in float64: images
are `(batch, channels, height, width)`. Each reference takes a state and images in the model's
range, and returns log-likelihoods and latents, finest first, each standardized by its prior.
"""
