"""What commands show: tables and text that are safe to print, bars of progress."""
