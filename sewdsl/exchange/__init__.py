"""What a network shares with other libraries."""
