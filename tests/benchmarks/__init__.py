"""Measuring scripts run, on miniatures."""
