"""What would be invoiced: the API's door to the builder, which makes all contents."""

from projections.invoicing.builder import items_draft, preview, subscription_draft

__all__ = ("items_draft", "preview", "subscription_draft")
