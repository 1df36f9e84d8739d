"""What words alone say of a lesion."""
