"""Reads of the projections: the only front door for the API and for people's command lines.

Every function takes a connection of one tenant (projections.queries.connection) and returns frozen
values. Row level security hides other tenants' rows, so no statement here names a tenant.
"""
