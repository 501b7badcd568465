"""The demonstration: a real trace in, invoices out, checked against the trace itself."""
