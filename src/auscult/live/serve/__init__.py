"""The server: machines that are listened to, their history and what they sound like, behind one page."""
