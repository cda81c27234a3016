"""The store's use of a file system: durable writes, locks, leases, LMDB files, removal of trees."""
