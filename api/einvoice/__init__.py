"""Electronic invoices: EN 16931 as CII, and Factur-X, which is a PDF/A-3 with that inside."""
