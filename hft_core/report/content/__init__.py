"""The shape of report.json, by subject; `report.Report` is the whole."""
