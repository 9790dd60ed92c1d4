"""Search spaces: genes, the genomes made of them, and the strategies that these mean."""
