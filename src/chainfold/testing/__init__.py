"""What tests of chainfold, and of what is built on it, share. Needs hypothesis; nothing else imports it."""
