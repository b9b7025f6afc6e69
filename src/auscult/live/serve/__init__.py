"""The live page of a plant: a server over the history of its machines."""
