"""What people of different habits do in their first hour, from the README and the documentation."""
