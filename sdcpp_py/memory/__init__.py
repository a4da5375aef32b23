"""What is in memory when: limits, devices, what phases need, the plan, and bringing weights in and out."""
