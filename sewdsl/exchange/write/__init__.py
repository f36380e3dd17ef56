"""Networks in the formats of other libraries; the formats do not import each other."""
