"""The report page: its charts as SVG, its template and style."""
