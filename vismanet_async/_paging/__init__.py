"""Reading a list whole while others write."""
