"""Rules of emergence as catalogue data: conditions, gates, tiers, and judging one node by them.

The catalogue reads them; domain.emergence applies them to projects and knows the catalogue.
"""
