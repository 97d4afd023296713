package server

import "time"

// tallyEvery is the least time between two receipts of kind tally.
const tallyEvery = time.Second

// Bounds of files that an operator gives.
const (
	maxConfigBytes  = 1 << 20  // bytes of a configuration
	maxSocketBytes  = 107      // bytes of a Unix socket's name; source: unix(7)
	maxRootBytes    = 1 << 20  // bytes of a root's file: an envelope is at most 512 KiB
	maxKeyringBytes = 64 << 10 // bytes of a keyring, as in custody
	maxBackupFile   = 1 << 40  // bytes of one file in a backup: more than a disk of today
)
