"""The wire: the only place that spells the shape of a JSON body or event."""
