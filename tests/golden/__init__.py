"""Files whose decoded pixels are pinned, and the script that makes them."""
