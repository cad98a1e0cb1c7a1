"""How close a decoded picture is to its original."""
