"""What a network looks at: attribution maps in source pixels, tests of them, and inputs that a network likes best."""
