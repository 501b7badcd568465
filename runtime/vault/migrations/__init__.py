"""The vault's own steps; they have nothing to do with those of the projections."""
