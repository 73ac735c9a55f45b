"""Does the remedy hold on vectors? RealNVP under every scale, and other libraries' defaults."""
