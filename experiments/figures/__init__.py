"""The paper's figures by their numbers, and those of the studies."""
