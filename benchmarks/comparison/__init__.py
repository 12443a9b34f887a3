"""What comparisons of networks trained on the drawn world have in common: animation, kept videos, rows and scores."""
