"""Docker's JSON: containers, images and networks as the Engine API and `docker inspect` show them."""
