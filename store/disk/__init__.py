"""What the store asks of a file system: durable writes, locks, leases, LMDB files, removal of trees."""
