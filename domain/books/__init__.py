"""The books of a tenant: what was agreed, invoiced and allowed; one book per file.

Each book has decide (a command becomes facts or a refusal; it changes nothing) and apply (a fact
moves the state; it decides nothing). books.dispatch knows which book answers what, books.fold runs
them over a partition of account.commands.
"""
